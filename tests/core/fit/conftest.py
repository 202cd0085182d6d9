import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.fit.optimizers import Adam
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import GeneratorUnits, Outcome, SnapshotStore, StopReason
from napari_convgen.core.stopping import FixedStep, Judgment


class Copies(GeneratorUnits):
    def restore(self, values):
        return values.copy()


@pytest.fixture(scope="session")
def noisy_blob():
    """Draw a bright spot of 16 x 13 pixels under noise."""

    def draw(n_channels=1):
        y, x = np.mgrid[-1:1:16j, -1:1:13j]
        blob = 0.1 + 0.8 * np.exp(-4 * (x**2 + y**2))
        return torch.from_numpy(blob + 0.05 * np.random.default_rng(0).standard_normal((n_channels, 16, 13)))

    return draw


@pytest.fixture(scope="session")
def fit_to():
    """Begin a fit of a small decoder."""

    def begin(
        measurement,
        n_steps,
        *,
        weights=None,
        rule=None,
        method=Adam,
        seed=0,
        lr=0.01,
        max_bytes=math.inf,
        dtype=torch.float32,
        order="relu-norm",
        n_channels=8,
        n_seeds=1,
        **options,
    ):
        measurement = measurement.to(dtype)
        weights = torch.ones_like(measurement) if weights is None else weights.to(dtype)
        problem, rule = Problem(measurement, weights), rule or FixedStep()
        members = rule.members(problem, n_seeds, torch.Generator().manual_seed(seed))
        generator = DeepDecoder(
            measurement.shape[1:],
            len(measurement),
            n_channels=n_channels,
            n_scales=2,
            rngs=[torch.Generator().manual_seed(100 * seed + start) for start in members.starts],
            order=order,
            norm_init="uniform",
            dtype=dtype,
        )
        optimizer = method(generator.parameters(), lr, **options)
        store = SnapshotStore(max_bytes, Copies(), "average")
        return Fit(problem, generator, optimizer, rule, members, store, n_steps)

    return begin


@pytest.fixture(scope="session")
def listening_rule():
    """Make a rule that keeps one step, or else the one before the last but one, and what it was told."""

    def make(ends_at=math.inf, keeps=None):
        heard = SimpleNamespace(observed=[], judged=[])

        def begin(problem, members):
            heard.members = members

        def observe(iterate):
            heard.observed.append(iterate.step)
            return iterate.loss.new_tensor(10.0 * iterate.step)

        def judge(steps):
            heard.judged.append(list(steps))
            reason = StopReason(Outcome.RULE, "Enough.") if steps[-1] >= ends_at else None
            return Judgment(max(1, steps[-1] - 2) if keeps is None else min(keeps, steps[-1]), reason)

        return SimpleNamespace(members=FixedStep().members, begin=begin, observe=observe, judge=judge), heard

    return make
