"""Python, the command line and the widget give the same array, bit for bit."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_convgen import Config, denoise


@pytest.fixture
def noisy():
    y, x = np.mgrid[:48, :48]
    clean = 2000 + 900 * np.sin(x / 5) * np.cos(y / 7) + 500 * (np.hypot(x - 24, y - 19) < 8)
    return np.random.default_rng(3).poisson(clean / 10).astype(np.uint16) * 10


def test_all_three_ends_give_the_same_image(noisy, tmp_path, make_napari_viewer, qtbot):
    config = Config().replace({"generator.n_channels": 16, "n_steps": 20, "n_threads": 2, "seed": 5, "device": "cpu"})
    result = denoise(noisy, config)

    tifffile.imwrite(tmp_path / "noisy.tif", noisy)
    (tmp_path / "config.toml").write_text(config.to_toml())
    command = ["denoise", "noisy.tif", "-o", "denoised.tif", "--config", "config.toml", "--quiet"]
    subprocess.run([sys.executable, "-m", "napari_convgen.cli", *command], cwd=tmp_path, check=True)

    viewer = make_napari_viewer()
    viewer.add_image(noisy, name="noisy")
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Denoise")
    for form in (widget._at_hand, widget._folded):
        form.show_config(config)
    widget.run()
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=60_000)

    assert widget.session.result.step == result.step
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "denoised.tif"), result.image)
    np.testing.assert_array_equal(viewer.layers["noisy denoised"].data, result.image)
    assert not np.array_equal(result.image, noisy)
