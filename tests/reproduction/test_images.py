import numpy as np
import pytest
import torch
from PIL import Image

from napari_convgen.errors import FileError
from napari_convgen.reproduction.images import (
    describe_photographs,
    phantom,
    photographs,
    uniform_noise,
    with_noise,
)
from napari_convgen.reproduction.study import Setting

CPU = torch.device("cpu")


def test_the_phantom_is_that_of_the_authors():
    image = phantom(256)
    assert image.shape == (1, 256, 256)
    assert (image.min(), image.max()) == (0, 1)
    assert np.linalg.norm(image) == pytest.approx(85.78, rel=0.02)


@pytest.mark.parametrize(("is_full", "side", "n"), [(False, 32, 7), (True, 512, 4)])
def test_photographs_come_without_a_download(is_full, side, n, monkeypatch):
    def refuse(*args):
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    found = photographs(Setting(is_full, CPU), side, 100)
    assert len(found) == n
    for _, image in found:
        assert image.shape == (3, side, side)
        assert 0 <= image.min() < image.max() <= 1
    assert len(photographs(Setting(is_full, CPU), side, 2)) == 2


def test_photographs_of_a_folder_are_cut_from_their_middle(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "b.png")
    Image.fromarray(image[:20]).save(tmp_path / "small.png")
    Image.fromarray(image[..., 0]).save(tmp_path / "gray.png")
    (tmp_path / "words.txt").write_text("no image")
    setting = Setting(True, CPU, images=tmp_path)
    [(name, found)] = photographs(setting, 30, 5)
    assert name == "b"
    np.testing.assert_allclose(found, np.moveaxis(image[5:35, 10:40], -1, 0) / 255)
    assert str(tmp_path) in describe_photographs(setting, 1, 30)


def test_in_quick_size_a_photograph_shows_more_of_the_scene(tmp_path):
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[np.newaxis, :, np.newaxis], 100, 0).repeat(3, 2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    [(_, found)] = photographs(Setting(False, CPU, images=tmp_path), 20, 1)
    assert found.shape == (3, 20, 20)
    slopes = np.diff(found[0, 10] * 255)  # 100 rows were brought to 40: a pixel is 2.5 of the old ones
    np.testing.assert_allclose(slopes[2:-2], 2.5, atol=1.01)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(FileError, match="no color image of 16 × 16 pixels"):
        photographs(Setting(True, CPU, images=tmp_path), 16, 1)
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"broken\.png cannot be read"):
        photographs(Setting(True, CPU, images=tmp_path), 16, 1)


def test_shared_noise_is_the_same_in_all_channels_and_has_its_level():
    clean = np.full((3, 100, 100), 0.5)
    shared, own = (with_noise(clean, 25, np.random.default_rng(0), is_shared=is_shared) for is_shared in (True, False))
    assert (shared == shared[:1]).all()
    assert abs(np.corrcoef(own.reshape(3, -1) - 0.5)[0, 1]) < 0.05
    for noisy in (shared, own):
        assert noisy.std() == pytest.approx(25 / 255, rel=0.03)


def test_clipping_takes_noise_away_where_the_image_is_black():
    clean = np.zeros((1, 200, 200))
    noisy = with_noise(clean, 25, np.random.default_rng(0), is_shared=True)
    assert np.mean(noisy**2) == pytest.approx((25 / 255) ** 2 / 2, rel=0.03)


def test_uniform_noise_fills_the_unit_interval():
    noise = uniform_noise((1, 100, 100), np.random.default_rng(0))
    assert noise.mean() == pytest.approx(0.5, abs=0.02)
    assert noise.var() == pytest.approx(1 / 12, rel=0.05)
