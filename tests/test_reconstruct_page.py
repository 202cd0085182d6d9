"""The commands and the code of the page on reconstruction run."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_convgen import cli

PAGE = (Path(__file__).parent.parent / "docs" / "reconstruct.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:32, :28]
    image = (100 + 60 * np.sin(x / 5) * np.cos(y / 4)).astype(np.float32)
    for name in ("image", "truth"):
        tifffile.imwrite(f"{name}.tif", image, imagej=True, resolution=(10, 10), metadata={"unit": "micron"})
    Image.fromarray(image.astype(np.uint8)).save("picture.png")
    Image.fromarray(np.uint8(255) * (x % 3 == y % 2)).save("mask.png")
    tifffile.imwrite("psf.tif", np.exp(-((x[:9, :9] - 4.0) ** 2) - (y[:9, :9] - 4.0) ** 2).astype(np.float32))


def test_the_commands_run(folder, capsys):
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) > 8
    for command in commands:
        name, *words = command.split()
        assert name == "napari-convgen"
        assert cli.main(words) == 0, command


def test_the_code_runs(folder):
    for block in blocks("python"):
        exec(block, {})
