"""Use the installed package from the command line and from Python, in the folder at hand: a part of ``tools/check_release.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tifffile

import napari_convgen
from napari_convgen.samples import SAMPLES

COMMAND = Path(sys.executable).with_name("napari-convgen")


def main() -> None:
    """Ask for the version, and denoise a part of a sample twice."""
    home = Path(napari_convgen.__file__)
    assert Path(sys.prefix) in home.parents, f"{home} is not in the environment"

    printed = subprocess.run([COMMAND, "--version"], check=True, capture_output=True, text=True).stdout
    assert version("napari-convgen") in printed, f"--version printed {printed!r}"

    noisy = SAMPLES["fluorescence"]().noisy[:64, :64]
    tifffile.imwrite("noisy.tif", noisy)
    options = ["--preset", "quick", "--report", "report.json"]
    subprocess.run([COMMAND, "denoise", "noisy.tif", "-o", "denoised.tif", *options], check=True)
    from_command = napari_convgen.read_image("denoised.tif").data
    result = napari_convgen.denoise("noisy.tif", napari_convgen.PRESETS["quick"])
    assert np.array_equal(result.image, from_command), "the command line and Python disagree"
    assert np.std(result.image) < np.std(noisy), "nothing was denoised"

    Path("versions.json").write_text(
        json.dumps([version(name).partition("+")[0] for name in ("napari", "torch", "numpy")])
    )


if __name__ == "__main__":
    main()
