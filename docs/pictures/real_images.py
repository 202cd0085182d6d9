"""Take pictures of the widgets that say why it works, on images of your own.

    tools/with-display python docs/pictures/real_images.py FOLDER microscopy.tif mri.tif

For each image FOLDER gets a picture of *Image against noise*, of the *Kernel explorer* and of *Why it works* on its central part.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""  # before napari is imported: no preferences are read, none are written

import napari
import numpy as np
from screenshots import wait

from napari_convgen.files.images import read_image

SIDE = 128
"""Side of the central part, in pixels."""


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for path in arguments.images:
        picture(path, arguments.folder)


def picture(path: Path, folder: Path) -> None:
    """Take the pictures of one image."""
    part = central_part(read_image(path).data)
    for widget_name, settings in (("Image against noise", {}), ("Kernel explorer", {}), ("Why it works", {"rank": 40})):
        viewer = napari.Viewer()
        viewer.window.resize(1280, 800)
        viewer.add_image(part, name=path.stem[:12])
        _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", widget_name)
        wait(lambda: False, 1)
        if widget_name == "Kernel explorer":
            wait(lambda widget=widget: widget.session.preview is not None)
            widget.tabs.show_page("Filter")
        else:
            if "rank" in settings:
                widget._form._rank.value = settings["rank"]
            else:
                widget._settings.editors["n_steps"].value = 200
            widget.run()
            wait(lambda widget=widget: not widget.session.is_busy)
        viewer.reset_view()
        wait(lambda: False, 1)
        name = f"{path.stem}-{widget_name.lower().replace(' ', '-')}.png"
        viewer.screenshot(str(folder / name), canvas_only=False, flash=False)
        viewer.close()


def central_part(image: np.ndarray) -> np.ndarray:
    """Return the middle of the first plane of an image."""
    while image.ndim > 2:
        image = image[0]
    y, x = ((n - min(n, SIDE)) // 2 for n in image.shape)
    return image[y : y + SIDE, x : x + SIDE]


if __name__ == "__main__":
    main()
