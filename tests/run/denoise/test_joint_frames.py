"""Stacks whose frames are denoised together."""

from unittest import mock

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift

from napari_convgen.config import preset
from napari_convgen.core.generators import TaughtNetwork
from napari_convgen.core.image import ImageTensor, Layout, Measured
from napari_convgen.core.pace import finish
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, StopReason
from napari_convgen.core.stopping import HeldOut
from napari_convgen.errors import ConfigError
from napari_convgen.run.denoise.run import JOINT, NO_NETWORK, SHARED, DenoiseTask, denoise
from napari_convgen.run.setup.build import build_noise
from napari_convgen.run.setup.fits import start_fit
from napari_convgen.run.setup.groups import frame_groups
from napari_convgen.run.setup.guides import make_guides
from napari_convgen.run.setup.prepared import Prepared

SMALL = {
    "n_threads": 1,
    "device": "cpu",
    "noise.sigma": 0.1,
}
QUICK = preset("quick").replace(SMALL)


def frames_that_move(n=5, speed=0.3, shape=(32, 36)):
    rng = np.random.default_rng(0)
    scene = gaussian_filter(rng.standard_normal((shape[0] + 24, shape[1] + 24)), 1.5)
    scene = (scene - scene.min()) / np.ptp(scene)
    clean = np.stack([shift(scene, (speed * t, 0), order=3, mode="reflect")[12:-12, 12:-12] for t in range(n)])
    return clean, (clean + 0.1 * rng.standard_normal(clean.shape)).astype(np.float32)


def error(image, clean):
    return float(np.mean((image - clean) ** 2))


def fitted(noisy, fit, axes="TYX"):
    return denoise(noisy, QUICK.replace({"frames.fit": fit}), axes=axes)


def test_frames_that_move_help_each_other_and_a_note_says_so():
    clean, noisy = frames_that_move()
    alone, together = fitted(noisy, "separate"), fitted(noisy, "auto")
    assert error(together.image, clean) < 0.7 * error(alone.image, clean)
    assert together.notes == (JOINT,)
    assert JOINT not in alone.notes


TAUGHT = preset("default").replace({**SMALL, "n_steps": 10, "generator.n_lessons": 2})


def test_frames_of_a_group_share_a_network_that_learns_at_the_first_from_all():
    _, noisy = frames_that_move(5, shape=(16, 18))
    config = TAUGHT.replace({"frames.group": 3})
    task, examples, shares = DenoiseTask(noisy, config, axes="TYX"), [], []
    taught = TaughtNetwork.lesson_loss

    def lesson(network, member):
        examples.append((len(task.result().frames) if task.has_result else 0, *network.examples.shape))
        return taught(network, member)

    with mock.patch.object(TaughtNetwork, "lesson_loss", lesson):
        for progress in task:
            shares.append(progress.share)
    assert set(examples) == {(0, 2, 3, 1, 16, 18), (3, 2, 2, 1, 16, 18)}
    assert SHARED in task.result().notes
    assert [len(frame.loss) for frame in task.result().frames] == [10, 8, 8, 10, 8]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_the_network_of_another_frame_takes_noise_off_as_well_as_one_of_its_own():
    clean, noisy = frames_that_move(3, speed=5)
    config = TAUGHT.replace({"n_steps": 8, "generator.n_lessons": 16, "generator.network_share": 1})
    shared, own = (
        denoise(noisy, config.replace({"frames.fit": fit}), axes="TYX").image for fit in ("joint", "separate")
    )
    assert error(shared[1:], clean[1:]) < error(own[1:], clean[1:])


def test_a_start_with_another_seed_has_a_network_of_its_own():
    _, noisy = frames_that_move(3, shape=(16, 18))
    prepared = Prepared(noisy, TAUGHT, axes="TYX")
    group = frame_groups(prepared).of(0)
    first = finish(start_fit(prepared, group.images[0], 0, 1, number=0, group=group))
    group.networks[0].take(first)
    assert group.guides[1, 0].is_joint
    fits = [finish(start_fit(prepared, group.images[1], seed, 1, number=1, group=group)) for seed in (0, 7)]
    assert [(each.generator.n_lessons, each.generator.examples.shape[1]) for each in (first, *fits)] == [
        (2, 3),
        (0, 3),
        (2, 1),
    ]


def test_a_network_that_failed_is_not_shared():
    _, noisy = frames_that_move(3, shape=(16, 18))
    prepared = Prepared(noisy, TAUGHT, axes="TYX")
    group = frame_groups(prepared).of(0)
    fit = finish(start_fit(prepared, group.images[0], 0, 1, number=0, group=group))
    fit.reason = StopReason(Outcome.DIVERGED, "")
    group.networks[0].take(fit)
    assert not group.networks[0].has_learned


def test_a_forecast_counts_a_network_once_for_the_frames_that_share_it():
    _, noisy = frames_that_move(5, shape=(16, 18))
    forecast = DenoiseTask(noisy, TAUGHT.replace({"frames.group": 3}), axes="TYX").forecast()
    assert forecast.piece.wall == pytest.approx(forecast.before.wall + forecast.step.wall * (10 + 2) / 3)
    assert "for 5 frames, of which up to 3 share a network of 10 steps" in str(forecast)


def test_a_network_that_is_fitted_to_each_frame_is_left_out_where_others_help():
    _, noisy = frames_that_move(2, shape=(16, 18))
    config = QUICK.replace({"generator.network_share": "auto", "n_steps": 3})
    for changes, steps, is_noted in (({}, {1}, True), ({"frames.fit": "separate"}, {3}, False)):
        task = DenoiseTask(noisy, config.replace(changes), axes="TYX")
        assert {task.forecast().n_steps} == {progress.n_steps for progress in task} == steps
        assert (NO_NETWORK in task.result().notes) == is_noted


def test_frames_without_relation_lose_almost_nothing():
    clean, noisy = (np.concatenate(parts) for parts in zip(*(_one(seed) for seed in range(4)), strict=True))
    alone, together = (fitted(noisy, fit).image for fit in ("separate", "joint"))
    assert error(together, clean) < 10 ** (0.3 / 10) * error(alone, clean)


def _one(seed):
    rng = np.random.default_rng(seed)
    clean = gaussian_filter(rng.standard_normal((1, 32, 36)), (0, 1.5 + seed % 2, 1.5))
    clean = (clean - clean.min()) / np.ptp(clean)
    return clean, (clean + 0.1 * rng.standard_normal(clean.shape)).astype(np.float32)


def test_each_frame_of_a_lazy_stack_is_read_once_and_no_sooner_than_its_group():
    clean, noisy = frames_that_move(8, shape=(16, 18))
    read = []

    def take(self, index):
        read.append(index[0])
        return noisy[index]

    lazy = type("Lazy", (), {"shape": noisy.shape, "dtype": noisy.dtype, "__getitem__": take})()
    task, n_read = DenoiseTask(lazy, QUICK.replace({"frames.group": 2}), axes="TYX"), {}
    for progress in task:
        n_read.setdefault(progress.frame, len(read))
    assert read == list(range(8))
    assert list(n_read.values()) == [4, 4, 6, 6, 8, 8, 8, 8]
    assert error(task.result().image, clean) < 0.5 * 0.1**2


def test_a_constant_frame_and_channels_that_are_frames_leave_the_others_their_neighbors():
    clean, noisy = frames_that_move(4, shape=(16, 18))
    alone = fitted(noisy, "joint").image
    channels = np.stack([noisy, noisy[:, ::-1]], 1)
    both = denoise(channels, QUICK.replace({"channels": "separate"}), axes="TCYX").image
    assert np.abs(both[:, 0] - alone).max() < 0.02
    noisy[1] = 0.5
    result = fitted(noisy, "joint")
    assert np.array_equal(result.image[1], noisy[1])
    assert error(result.image[[0, 2, 3]], clean[[0, 2, 3]]) < 0.5 * 0.1**2


def test_a_member_s_guide_knows_nothing_of_the_pixels_that_it_leaves_out_of_any_frame():
    _, noisy = frames_that_move(3)
    layout = Layout.of(noisy.shape, "TYX")
    noise = build_noise(Measured.of(noisy[0], layout), layout, QUICK.noise)
    images = [ImageTensor.of(frame, layout, noise).within(np.zeros(1), np.ones(1)) for frame in noisy]
    members = {}
    for place in (1, 2):
        problem, rng = Problem.of(images[place], torch.device("cpu")), torch.Generator().manual_seed(place)
        members[place] = HeldOut(0.1, "auto", 0.4, 100, "average").members(problem, 2, rng)

    def guides():
        stages = make_guides(images, members, layout, torch.device("cpu"), shown=1)
        while True:
            try:
                next(stages)
            except StopIteration as end:
                return end.value

    before = guides()
    left_out = members[1].weights[0].numpy() == 0
    images[1].values[left_out] = 0.5
    after = guides()
    assert before.keys() == after.keys() == members.keys()
    for place in members:
        assert torch.equal(before[place].members[0], after[place].members[0])
        assert not torch.equal(before[place].whole, after[place].whole)


def test_what_cannot_be_joined_is_refused_and_auto_leaves_it_alone():
    _, noisy = frames_that_move(2, shape=(16, 18))
    with pytest.raises(ConfigError, match="needs a generator that is guided by the non-local estimate"):
        DenoiseTask(noisy, preset("deep-decoder").replace({"frames.fit": "joint"}), axes="TYX")
    volumes = np.stack([noisy, noisy])
    config = QUICK.replace({"z_axis": "volume"})
    with pytest.raises(ConfigError, match="for stacks of planes, and the frames here have the axes ZYX"):
        DenoiseTask(volumes, config.replace({"frames.fit": "joint"}), axes="TZYX")
    assert JOINT not in denoise(volumes, config, axes="TZYX").notes
    assert JOINT not in denoise(noisy[0], QUICK).notes


def test_tiles_of_a_group_help_each_other_as_a_stack_of_that_tile_alone():
    """Each tile goes through the frames of a group before the next tile has its turn."""
    clean, noisy = frames_that_move(n=3, shape=(32, 60))
    config = QUICK.replace({"tiles.size": 32, "tiles.overlap": 8})
    task = DenoiseTask(noisy, config, axes="TYX")
    progresses = list(task)
    turns = list(dict.fromkeys((progress.frame, progress.tile) for progress in progresses))
    assert turns == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    shares = [progress.share for progress in progresses]
    assert shares == sorted(shares)
    result = task.result()
    assert JOINT in result.notes
    assert [frame.number for frame in result.frames] == list(range(6))
    for tile in range(2):
        piece = task.prepared.pieces[tile]
        alone = fitted(noisy[(slice(None), *piece.window[1:])], "joint").image
        np.testing.assert_array_equal(
            result.image[(slice(None), *piece.index[1:])], alone[(slice(None), *piece.inside)]
        )
    assert error(result.image, clean) < 0.7 * error(fitted(noisy, "separate").image, clean)


def test_what_is_particular_to_a_frame_is_taken_from_that_frame_alone():
    clean, noisy = frames_that_move(shape=(48, 48))
    rng = np.random.default_rng(1)
    offsets = rng.standard_normal((48, 1)).astype(np.float32)
    noisy[3] += 0.2 * (offsets - offsets.mean())
    noisy[1].flat[rng.choice(48 * 48, 60, replace=False)] = 3 + rng.random(60)
    together, alone = fitted(noisy, "auto"), fitted(noisy, "separate")
    assert [any(frame.noise.stripes) for frame in together.frames] == [False, False, False, True, False]
    assert [frame.noise.impulses > 0 for frame in together.frames] == [False, True, False, False, False]
    for i in (1, 3):
        assert error(together.image[i], clean[i]) < error(alone.image[i], clean[i])


def notes_of(result, start):
    return [note for note in result.notes if note.startswith(start)]


@pytest.mark.parametrize(("n_mean", "speed"), [(2, 1), (3, 0)])
def test_frames_that_share_noise_do_not_help_each_other(n_mean, speed):
    clean, noisy = (
        np.mean([x[i : len(x) - n_mean + 1 + i] for i in range(n_mean)], 0)
        for x in frames_that_move(11 + n_mean, speed=speed)
    )
    config = QUICK.replace({"noise.sigma": 0.1 / np.sqrt(n_mean)})
    together, alone = (denoise(noisy, config.replace({"frames.fit": fit}), axes="TYX") for fit in ("auto", "separate"))
    assert notes_of(together, "Neighboring frames share noise") == [
        "Neighboring frames share noise, as after a running mean or an interpolation along the stack: frames helped each other only at "
        f"distances of {n_mean} or more. Denoise the frames as they were measured, if you have them."
    ]
    assert error(together.image, clean) < 0.8 * error(alone.image, clean)
    _, measured = frames_that_move(8, speed=speed)
    assert not notes_of(denoise(measured, QUICK, axes="TYX"), "Neighboring frames share noise")


@pytest.mark.parametrize("fit_network", [False, True])
def test_a_copy_of_a_frame_does_not_help_it_as_both_have_the_same_noise(fit_network):
    clean, noisy = frames_that_move(6, speed=0)
    noisy[3] = noisy[2]
    noisy[4] = noisy[2]
    config = QUICK
    if fit_network:
        config = TAUGHT
    result = denoise(noisy, config, axes="TYX")
    np.testing.assert_array_equal(result.image[2], result.image[3])
    assert error(result.image[2], clean[2]) < 1.5 * error(result.image[0], clean[0])
    assert notes_of(result, "Frames that are copies") == [
        "Frames that are copies of others nearby, noise included: 3, 4. Copies and originals did not help each other."
    ]


def test_a_copy_in_the_next_group_does_not_help_either():
    clean, noisy = frames_that_move(6, speed=0)
    noisy[3] = noisy[2]
    result = denoise(noisy, QUICK.replace({"frames.group": 3}), axes="TYX")
    assert max(error(result.image[t], clean[t]) for t in (2, 3)) < 1.5 * error(result.image[0], clean[0])
    assert "included: 3. " in notes_of(result, "Frames that are copies")[0]


def test_frames_with_much_more_noise_than_others_are_denoised_without_these():
    clean, noisy = frames_that_move(6, speed=0, shape=(48, 48))
    rng = np.random.default_rng(1)
    for t in (1, 4):
        noisy[t] = clean[t] + 0.4 * rng.standard_normal(clean[t].shape)
    config = QUICK.replace({"noise.sigma": "auto"})
    result, others = (denoise(each, config, axes="TYX") for each in (noisy, noisy[[0, 2, 3, 5]]))
    assert error(result.image[[1, 4]], clean[[1, 4]]) < 0.15 * 0.4**2
    np.testing.assert_allclose(result.image[[0, 2, 3, 5]], others.image, atol=0.05)
    assert notes_of(result, "Frames whose noise is more than 1.5 times")[0].endswith(
        "them: 1, 4. They were denoised without these."
    )
    assert not notes_of(others, "Frames whose")
