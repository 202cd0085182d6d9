"""Stacks of frames: each is fitted as if alone, and computed when it is its turn."""

import dask
import dask.array as da
import numpy as np
from scipy.ndimage import gaussian_filter

from napari_convgen.config import Config
from napari_convgen.core.snapshot import Outcome
from napari_convgen.run.denoise.run import DenoiseTask, denoise

QUICK = Config().replace({"generator.n_channels": 6, "n_steps": 8, "stopping.kind": "fixed", "device": "cpu"})


WATCHED = QUICK.replace({"stopping.kind": "held-out", "n_steps": 60})


def loaded_frame_by_frame(stack):
    """The stack as a dask array, and the numbers of the frames computed so far."""
    computed = []

    def load(i):
        computed.append(i)
        return stack[i]

    frames = [da.from_delayed(dask.delayed(load)(i), stack.shape[1:], stack.dtype) for i in range(len(stack))]
    return da.stack(frames), computed


def test_a_frame_of_a_stack_equals_the_same_frame_alone(noisy, same):
    stack = np.stack([noisy(seed=seed) for seed in range(3)])
    together = denoise(stack, WATCHED)
    for number, frame in enumerate(stack):
        alone = denoise(frame, WATCHED)
        assert same(together.image[number], alone.image)
        assert together.frames[number].step == alone.step
        assert together.frames[number].loss == alone.frames[0].loss


def test_a_stack_with_its_frames_elsewhere_gives_the_same_frames(noisy, same):
    stack = noisy((2, 3, 12, 13))
    expected = denoise(stack, QUICK, axes="TZYX").image
    moved = np.moveaxis(stack, (0, 1), (3, 1))
    assert same(np.moveaxis(denoise(moved, QUICK, axes="YZXT").image, (3, 1), (0, 1)), expected)


def test_a_lazy_stack_is_computed_slice_by_slice_and_gives_the_same_result(noisy, same):
    stack = np.stack([noisy(seed=seed) for seed in range(3)])
    lazy, computed = loaded_frame_by_frame(stack)
    run = DenoiseTask(lazy, QUICK)
    assert computed == [0]
    seen = [(progress.frame, len(computed)) for progress in run]
    assert set(seen) == {(0, 1), (1, 2), (2, 3)}
    result = run.result()
    assert computed == [0, 1, 2]
    assert same(result.image, denoise(stack, QUICK).image)


def test_an_array_that_can_only_be_sliced_is_enough(noisy, same):
    stack, taken = noisy((2, 12, 13), "uint16"), []

    def take(self, index):
        taken.append(index)
        return stack[index]

    lazy = type("Lazy", (), {"shape": stack.shape, "dtype": stack.dtype, "__getitem__": take})()
    assert same(denoise(lazy, QUICK).image, denoise(stack, QUICK).image)
    assert all(isinstance(index[0], int) for index in taken)


def test_a_constant_frame_within_a_stack_is_left_as_it_is_with_a_note(noisy, same):
    stack = np.stack([noisy(seed=seed) for seed in range(4)])
    stack[1], stack[2] = 7, np.nan
    result = denoise(stack, QUICK)
    assert same(result.image[1:3], stack[1:3])
    assert [frame.number for frame in result.frames] == [0, 3]
    assert same(result.image[3], denoise(stack[3], QUICK).image)
    for number in (1, 2):
        assert f"Frame {number} is constant or missing throughout; it was left as it is." in result.notes


def test_only_missing_pixels_that_were_filled_in_are_counted(noisy):
    stack = np.stack([noisy(seed=seed) for seed in range(3)])
    stack[0, 2, :4] = np.nan
    stack[1] = np.nan
    stack[2, 3, 3] = np.nan
    result = denoise(stack, QUICK)
    assert "5 missing (NaN) pixels were left out of the fit and filled in." in result.notes
    assert np.isnan(result.image).sum() == stack[1].size


def test_a_stack_that_is_stopped_keeps_frames_not_reached_as_they_were(noisy, same):
    stack = np.stack([noisy(seed=seed) for seed in range(4)])
    run = DenoiseTask(stack, QUICK)
    for progress in run:
        if (progress.frame, progress.step) == (1, 3):
            run.stop()
    result = run.result()
    assert [frame.reason.outcome for frame in result.frames] == [Outcome.BUDGET, Outcome.USER]
    assert same(result.image[0], denoise(stack[0], QUICK).image)
    assert not same(result.image[1], stack[1])
    assert same(result.image[2:], stack[2:])
    assert np.isnan(result.expected_error[2:]).all()
    assert not np.isnan(result.expected_error[:2]).any()
    assert result.notes == (
        "2 of 4 frames, from index 2 on, were not reached: they are left as they are, or zero if they cannot be read.",
    )


def test_a_thin_volume_is_not_flat_and_better_than_frame_by_frame():
    rng = np.random.default_rng(0)
    clean = gaussian_filter(rng.standard_normal((21, 44, 44)), (2, 3, 3))[8:13, 8:36, 8:36]
    clean = (clean - clean.min()) / np.ptp(clean)
    image = (clean + 0.1 * rng.standard_normal(clean.shape)).astype(np.float32)
    config = QUICK.replace({"generator.n_channels": 24, "n_steps": 90, "n_seeds": 1})
    volume, frames = (denoise(image, config.replace({"z_axis": role}), axes="ZYX") for role in ("volume", "frames"))
    error, of_frames = (((result.image - clean) ** 2).mean() for result in (volume, frames))
    assert error < 0.85 * of_frames
    assert error < 0.2 * clean.var(0).mean()  # at least what a flat volume would lose
