"""A run in words that repeat it elsewhere: as a command line and as Python."""

from __future__ import annotations

import shlex
from pathlib import Path

from napari_convgen.config import PRESETS, Config
from napari_convgen.files.formats import split_place, stem_of
from napari_convgen.viewer.layers.door import LayerInput
from napari_convgen.viewer.parts.presets import nearest_preset


def command_line(source: LayerInput, config: Config, step: int | None) -> str:
    """Return the command that denoises the file of a layer with the same settings; parameters are those of `python`."""
    name = nearest_preset(config)
    settings = [f"{key}={value}" for key, value in config.changes_from(PRESETS[name]).items()]
    path = _path(source)
    parts = ["napari-convgen", "denoise", str(path), "--output", str(_output(path)), "--axes", source.axes]
    parts += ["--preset", name, *(["--set", *settings] if settings else [])]
    parts += [] if step is None else ["--keep", str(step)]
    return shlex.join(parts)


def python(source: LayerInput, config: Config, step: int | None) -> str:
    """Return the Python that denoises the file of a layer with the same settings.

    Parameters
    ----------
    source
        Image that was denoised.
    config
        Settings of the run.
    step
        Step that the user has chosen; ``None`` for that of the run.
    """
    name = nearest_preset(config)
    changes = "".join(f"    {key!r}: {value!r},\n" for key, value in config.changes_from(PRESETS[name]).items())
    path = _path(source)
    kept = f"result = result.keep({step})\n" if step is not None else ""
    return (
        "from napari_convgen import PRESETS, denoise, read_image, write_image\n\n"
        f"image = read_image({str(path)!r}, {source.axes!r})\n"
        f"config = PRESETS[{name!r}].replace({{\n{changes}}})\n"
        "result = denoise(image.image, config)\n"
        f"{kept}"
        f"write_image({str(_output(path))!r}, result.image, image)\n"
    )


def _path(source: LayerInput) -> Path:
    return Path(source.path or f"{source.name}.tif")


def _output(path: Path) -> Path:
    return split_place(path)[0].with_name(f"{stem_of(path)}_denoised.tif")
