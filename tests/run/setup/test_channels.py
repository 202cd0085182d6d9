import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.config import preset
from napari_convgen.core.image import SEPARATE, TOGETHER
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.setup.prepared import Prepared


def blobs(seed, shape=(64, 60)):
    image = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return image / image.std()


def frame(*channels):
    clean = np.stack(channels)
    return (clean + 0.3 * np.random.default_rng(9).standard_normal(clean.shape)).astype(np.float32)


LIKE = frame(blobs(0), 3 * blobs(0) + 40, -blobs(0))
UNLIKE = frame(blobs(0), blobs(1), blobs(2))


def test_unlike_channels_become_frames_with_a_note():
    like, unlike = (Prepared(x, "deep-decoder", axes="CYX") for x in (LIKE, UNLIKE))
    assert (like.n_frames, like.n_outputs, like.notes) == (1, 3, (TOGETHER,))
    assert (unlike.n_frames, unlike.n_outputs, unlike.notes) == (3, 1, (SEPARATE,))
    assert Prepared(UNLIKE, "deep-decoder", axes="CYX", single="A single image").n_frames == 1
    color = np.moveaxis(UNLIKE, 0, -1)
    assert Prepared(color, "deep-decoder", axes="YXS").n_frames == 1


@pytest.mark.parametrize(("choice", "values", "n_frames"), [("joint", UNLIKE, 1), ("separate", LIKE, 3)])
def test_the_user_can_decide(choice, values, n_frames):
    prepared = Prepared(values, preset("deep-decoder").replace({"channels": choice}), axes="CYX")
    assert (prepared.n_frames, prepared.notes) == (n_frames, ())


def test_each_channel_is_fitted_and_put_in_its_place():
    config = preset("deep-decoder").replace({"n_steps": 30, "generator.n_channels": 8, "n_threads": 1})
    result = denoise(UNLIKE, config, axes="CYX")
    assert result.image.shape == UNLIKE.shape
    assert [frame.index[0] for frame in result.frames] == [0, 1, 2]
    alone = denoise(UNLIKE[1], config)
    assert np.array_equal(result.image[1], alone.image)
    assert result.expected_error.shape == UNLIKE.shape
    assert SEPARATE in result.report()["notes"]
