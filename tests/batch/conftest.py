import hashlib

import numpy as np
import pytest
import tifffile

from napari_convgen.config import Config

FEW = {
    "generator.n_channels": 4,
    "generator.n_scales": 1,
    "n_steps": 3,
    "stopping.kind": "fixed",
    "backend": "torch",
    "device": "cpu",
    "n_restarts": 0,
    "tiles.size": 16,
    "tiles.overlap": 4,
}


@pytest.fixture(scope="session")
def few():
    """Settings of a fit that takes no time, in tiles."""
    return Config().replace(FEW)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory; images are in its folder ``in``: a plane of three tiles, and a stack of two frames of one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    y, x = np.mgrid[:24, :40]
    clean = 100 + 60 * np.sin(x / 5) * np.cos(y / 4)
    rng = np.random.default_rng(0)
    draw = [np.clip(clean + rng.normal(0, 15, clean.shape), 0, 255).astype(np.uint8) for _ in range(3)]
    tifffile.imwrite("in/plane.tif", draw[0], imagej=True, resolution=(4, 5), metadata={"unit": "um"})
    tifffile.imwrite("in/stack.tif", np.stack(draw[1:])[:, :, :20], imagej=True, metadata={"axes": "TYX"})
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture
def hashes():
    """Return the hashes of the outputs in a folder, by their names."""

    def of(folder):
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tif"))}

    return of
