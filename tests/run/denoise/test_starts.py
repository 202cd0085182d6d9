"""Fits of a stack that start from the network of the frame before."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from napari_convgen.config import preset
from napari_convgen.errors import ConfigError
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.setup.starts import PREVIOUS_NOTE

CONFIG = preset("deep-decoder").replace(
    {
        "generator.n_channels": 16,
        "generator.n_scales": 2,
        "n_seeds": 1,
        "n_threads": 1,
        "device": "cpu",
        "n_steps": 500,
        "noise.sigma": 0.1,
    }
)
PREVIOUS = CONFIG.replace({"frames.start": "previous"})


@pytest.fixture(scope="module")
def stack():
    """Two frames that drift by 0.2 pixels, and one of another scene; clean and noisy."""
    rng = np.random.default_rng(0)
    scenes = [gaussian_filter(rng.standard_normal((44, 48)), 1.5) for _ in range(2)]
    moved = [shift(scenes[0], (0.2 * t, 0), order=3, mode="reflect") for t in range(2)] + [scenes[1]]
    clean = np.stack([(each - each.min()) / np.ptp(each) for each in moved])[:, 6:-6, 6:-6]
    return clean, (clean + 0.1 * rng.standard_normal(clean.shape)).astype(np.float32)


def test_frames_alike_take_fewer_steps_and_a_cut_starts_afresh(stack):
    clean, noisy = stack
    fresh, previous = (denoise(noisy, config, axes="TYX") for config in (CONFIG, PREVIOUS))
    n_steps = [np.array([len(frame.loss) for frame in result.frames]) for result in (fresh, previous)]
    errors = [((result.image - clean) ** 2).mean((1, 2)) for result in (fresh, previous)]
    assert n_steps[0][0] == n_steps[1][0]
    assert n_steps[1][1] <= 0.6 * n_steps[0][1]
    np.testing.assert_array_equal(previous.image[0], fresh.image[0])
    assert errors[1][1] <= errors[0][1]
    np.testing.assert_array_equal(previous.image[2], fresh.image[2])  # a cut
    assert PREVIOUS_NOTE in previous.notes
    assert PREVIOUS_NOTE not in fresh.notes


def test_neighbors_are_those_along_the_last_axis_that_has_no_channels(stack):
    _, noisy = stack
    few = {"n_steps": 4, "generator.n_channels": 4, "channels": "separate"}
    channels = np.stack([noisy[:2], noisy[1:]], axis=1)
    joined = denoise(channels, PREVIOUS.replace(few), axes="TCYX").image
    for channel in range(2):
        alone = denoise(channels[:, channel], PREVIOUS.replace(few), axes="TYX").image
        np.testing.assert_array_equal(joined[:, channel], alone)


def test_tiles_start_from_the_same_tile(stack):
    _, noisy = stack
    few = PREVIOUS.replace(
        {"n_steps": 4, "generator.n_channels": 4, "tiles.size": 18, "tiles.overlap": 0, "dtype": "same"}
    )
    tiled = denoise(noisy[:2], few, axes="TYX").image
    alone = denoise(noisy[:2, :16, :18], few.replace({"tiles.size": "whole"}), axes="TYX").image
    np.testing.assert_array_equal(tiled[:, :16, :18], alone)


def test_the_first_frame_of_each_chain_starts_afresh(stack):
    _, noisy = stack
    frames = np.stack([noisy[0], noisy[1], noisy[0], noisy[1]])
    few = {"n_steps": 4, "generator.n_channels": 4}
    chained, whole, fresh = (
        denoise(frames, config.replace(few), axes="TYX").image
        for config in (PREVIOUS.replace({"frames.chain": 2}), PREVIOUS, CONFIG)
    )
    np.testing.assert_array_equal(chained[::2], fresh[::2])
    np.testing.assert_array_equal(chained[1], whole[1])
    np.testing.assert_array_equal(chained[1], chained[3])
    assert (whole[2] != fresh[2]).any()


def test_what_would_do_harm_is_refused(stack):
    _, noisy = stack
    for changes, advice in {
        ("stopping.kind", "fixed"): "stopping.min_patience = 100",
        ("stopping.min_patience", 20): "got stopping.min_patience = 20",
    }.items():
        with pytest.raises(ConfigError, match=advice):
            DenoiseTask(noisy, PREVIOUS.replace(dict([changes])), axes="TYX")
    with pytest.raises(ConfigError, match="preset 'deep-decoder'"):
        DenoiseTask(noisy, preset("quick").replace({"frames.start": "previous"}), axes="TYX")
