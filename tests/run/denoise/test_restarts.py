"""A fit that collapses or diverges is started afresh with another seed."""

import numpy as np
import pytest
import torch

from napari_convgen.config import Config
from napari_convgen.core.fit import health, loop
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.snapshot import Outcome
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.setup import build

QUICK = Config().replace({"generator.n_channels": 6, "n_steps": 8, "stopping.kind": "fixed", "device": "cpu"})


WATCHED = QUICK.replace({"stopping.kind": "held-out", "n_steps": 60})


@pytest.fixture(autouse=True)
def _judged_early(monkeypatch):
    for module in (health, loop):
        monkeypatch.setattr(module, "MIN_STEPS_TO_JUDGE", 50)


@pytest.fixture
def dead_starts(monkeypatch):
    """Make every start with one of these seeds a generator whose channels are all dead."""
    seeds = set()

    def make(*args, rngs, **options):
        generator = DeepDecoder(*args, rngs=rngs, **options)
        if rngs[0].initial_seed() in {build.random_source(seed, 1).initial_seed() for seed in seeds}:
            with torch.no_grad():
                for weights in [*generator.norm_scales, *generator.norm_offsets]:
                    weights.zero_()
                for weights in generator.norm_offsets:
                    weights.fill_(-100)
        return generator

    monkeypatch.setattr(build, "DeepDecoder", make)
    return seeds


def test_a_collapsed_fit_is_started_afresh_with_another_seed_and_the_notes_say_so(noisy, same, dead_starts, used):
    config = QUICK.replace({"n_steps": 70, "seed": 4})
    sound = denoise(noisy(), config, seed=5)
    dead_starts.add(4)
    result = denoise(noisy(), config)
    assert result.frames[0].seed == 5
    assert same(result.image, sound.image)
    assert result.curves["loss"].tolist() == sound.curves["loss"].tolist()
    [note] = result.notes
    assert "collapsed at step" in note or "The fit collapsed" in note
    assert "started afresh with seed 5" in note
    assert result.config == config.replace(used(result))
    assert result.report()["seed"] == 5


@pytest.mark.parametrize(("patience", "min_patience"), [(0.4, 20), (0, 0)])
def test_a_dead_start_is_recognized_though_its_rule_ends_it_early(noisy, dead_starts, patience, min_patience):
    dead_starts.add(0)
    config = WATCHED.replace({"n_steps": 60, "stopping.patience": patience, "stopping.min_patience": min_patience})
    result = denoise(noisy(), config)
    assert result.frames[0].seed == 1
    assert np.ptp(result.image) > 0


def test_progress_names_the_seed_of_the_start_and_begins_again(noisy, dead_starts):
    dead_starts.add(0)
    told = []
    denoise(noisy(), QUICK.replace({"n_steps": 70}), callback=told.append)
    first_of_second_start = next(i for i, progress in enumerate(told) if progress.seed == 1)
    assert told[first_of_second_start].step < 15
    assert all(progress.seed == 1 for progress in told[first_of_second_start:])


def test_a_restart_within_a_stack_is_of_its_frame_alone(noisy, dead_starts):
    stack = np.stack([noisy(seed=seed) for seed in range(2)])
    config = QUICK.replace({"n_steps": 70})
    dead_starts.add(0)
    result = denoise(stack, config)
    assert [frame.seed for frame in result.frames] == [1, 1]
    assert len(result.notes) == 2


def test_a_fit_without_a_start_left_keeps_what_there_is_and_says_so(noisy, dead_starts):
    dead_starts.update({0, 1})
    result = denoise(noisy(), QUICK.replace({"n_steps": 70, "n_restarts": 1}))
    assert result.reason.outcome is Outcome.COLLAPSED
    assert len(result.notes) == 2
    assert "started afresh with seed 1" in result.notes[0]
    assert "No start was left" in result.notes[1]
    assert result.image.shape == noisy().shape


def test_a_fit_that_diverges_whatever_its_start_is_an_outcome_not_a_crash(noisy):
    config = QUICK.replace(
        {"optimizer.kind": "momentum", "optimizer.learning_rate": 1e37, "n_steps": 50, "n_restarts": 1}
    )
    result = denoise(noisy(), config)
    assert result.reason.outcome is Outcome.DIVERGED
    assert np.isfinite(result.image).all()
    assert ["diverged" in note for note in result.notes] == [True, True]
    assert "Lower optimizer.learning_rate" in result.notes[-1]
