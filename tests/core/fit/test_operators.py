"""Fits to measurements that are not the image itself."""

import gc
import weakref

import pytest
import torch

from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.fit.optimizers import Adam
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.operators.identity import identity
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import GeneratorUnits, SnapshotStore
from napari_convgen.core.stopping import FixedStep, HeldOut
from napari_convgen.core.stopping.agreement import SeedAgreement
from napari_convgen.core.stopping.auto import AutomaticStop
from napari_convgen.core.stopping.coupled import CoupledSplit
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.core.stopping.linearized import LinearizedDynamics
from napari_convgen.core.stopping.sure import MonteCarloSure
from napari_convgen.core.stopping.whiteness import ResidualWhiteness
from napari_convgen.core.stopping.windowed_variance import RunningVariance, WindowedVariance
from napari_convgen.errors import ConfigError

SHAPE = (1, 16, 12)


def truth():
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SHAPE[1:]), indexing="ij")
    return (0.1 + 0.8 * torch.exp(-4 * (x**2 + y**2)))[None]


def blurring():
    """A circular blur: the measurement has the image's shape."""
    gain = 1 / (1 + 20 * torch.fft.fftfreq(SHAPE[1])[:, None] ** 2 + 20 * torch.fft.fftfreq(SHAPE[2]) ** 2)

    def blur(x):
        return torch.fft.ifft2(gain * torch.fft.fft2(x)).real

    return LinearMap(blur, SHAPE, SHAPE, blur)


def sensing():
    """Random sums of pixels: fewer numbers than the image has."""
    a = torch.randn((60, 192), generator=torch.Generator().manual_seed(3)) / 192**0.5
    return LinearMap(lambda x: (a @ x.flatten())[None], SHAPE, (1, 60), lambda y: (a.T @ y[0]).view(SHAPE))


def fourier():
    """The Fourier transform: complex numbers, whose lines along the second axis are measured together."""
    lines = torch.arange(SHAPE[1])[:, None].expand(SHAPE[1:])
    return LinearMap(
        lambda x: torch.fft.fft2(x, norm="ortho"),
        SHAPE,
        SHAPE,
        lambda y: torch.fft.ifft2(y, norm="ortho").real,
        entry_groups=lines,
    )


def magnitude():
    """Only the squares of sensing's numbers are measured: not linear."""
    linear = sensing()
    return ForwardModel(lambda x: linear.apply(x) ** 2, linear.in_shape, linear.out_shape)


OPERATORS = {"blurring": blurring, "sensing": sensing, "fourier": fourier, "magnitude": magnitude}


def problem_with(operator, sigma=0.02, noise_level=True):
    clean = operator.apply(truth())
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(7), dtype=clean.dtype)
    level = torch.tensor([sigma]) if noise_level else None
    return Problem(clean + sigma * noise, torch.ones(clean.shape), level, operator=operator)


def decoder(starts):
    rngs = [torch.Generator().manual_seed(start) for start in starts]
    return DeepDecoder(SHAPE[1:], 1, n_channels=12, n_scales=2, rngs=rngs)


def fit_to(problem, rule, n_steps=30, n_seeds=2):
    members = rule.members(problem, n_seeds, torch.Generator().manual_seed(1))
    generator = decoder(members.starts)
    optimizer = Adam(generator.parameters(), 0.02)
    return Fit(problem, generator, optimizer, rule, members, SnapshotStore(1e9, GeneratorUnits(), "average"), n_steps)


RULES = {
    "auto": lambda: AutomaticStop(HeldOut(0.1, "auto", 0.4, 100, "average")),
    "held-out": lambda: HeldOut(0.1, "auto", 0.4, 100, "average"),
    "fixed": FixedStep,
    "coupled": CoupledSplit,
    "discrepancy": Discrepancy,
    "whiteness": ResidualWhiteness,
    "agreement": SeedAgreement,
    "windowed-variance": lambda: WindowedVariance(window=5),
    "running-variance": lambda: RunningVariance(start=5),
    "sure": MonteCarloSure,
    "linearized": lambda: LinearizedDynamics(decoder([0])),
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_the_loss_is_the_mean_squared_residual_of_the_prediction(operator):
    problem = problem_with(operator())
    for iterate in fit_to(problem, FixedStep()):
        residuals = [problem.operator.apply(image) - problem.measurement for image in iterate.outputs]
        expected = torch.stack([(residual.abs() ** 2).mean() for residual in residuals]).mean()
        torch.testing.assert_close(iterate.loss, expected, rtol=1e-5, atol=1e-8)
        assert iterate.average.shape == SHAPE


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_a_fit_through_an_operator_comes_near_the_image_that_was_measured(operator):
    problem = problem_with(operator(), sigma=1e-3)
    fit = fit_to(problem, FixedStep(), n_steps=150, n_seeds=1)
    losses = [float(iterate.loss) for iterate in fit]
    assert losses[-1] < 0.05 * losses[0]
    if operator in (blurring, fourier):
        assert float(((fit.iterate.average - truth()) ** 2).mean()) < 0.1 * float(truth().var())


@pytest.mark.parametrize("operator", [blurring, sensing], ids=["blurring", "sensing"])
@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if not rule().needs_identity])
def test_a_rule_that_holds_for_any_operator_chooses_a_step_and_estimates_no_error(name, operator):
    fit = fit_to(problem_with(operator()), RULES[name]())
    for _ in fit:
        pass
    assert fit.judgment.step in fit.snapshots.steps
    assert (fit.judgment.error, fit.judgment.calibration) == (None, None)
    assert fit.snapshots[fit.judgment.step].expected_error.shape == SHAPE


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule().needs_identity])
def test_a_rule_that_holds_for_denoising_only_refuses_an_operator(name):
    with pytest.raises(ConfigError, match=f"'{name}' holds for denoising only"):
        RULES[name]().members(problem_with(blurring()), 1, torch.Generator())


def test_the_automatic_stop_lets_rules_vote_that_hold_for_the_operator():
    fit = fit_to(problem_with(blurring()), RULES["auto"]())
    for _ in fit:
        pass
    assert {"held-out", "discrepancy", "whiteness", "agreement", "running-variance"} == set(fit.judgment.votes)


def test_entries_that_are_measured_together_are_held_out_together():
    problem = problem_with(fourier())
    members = RULES["held-out"]().members(problem, 3, torch.Generator().manual_seed(0))
    left_out = members.weights[:, 0] == 0
    assert (left_out == left_out[:, :, :1]).all()  # whole lines
    assert (left_out[:, :, 0].sum(1) == round(0.1 * SHAPE[1])).all()
    assert (left_out.sum(0) <= 1).all()  # disjoint


def test_an_identity_that_is_given_changes_nothing():
    y = truth() + 0.05 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    plain = Problem(y, torch.ones(SHAPE), torch.tensor([0.05]))
    given = Problem(y, torch.ones(SHAPE), torch.tensor([0.05]), operator=identity(SHAPE))
    fits = [fit_to(problem, RULES["auto"]()) for problem in (plain, given)]
    losses = [[float(iterate.loss) for iterate in fit] for fit in fits]
    assert losses[0] == losses[1]
    assert fits[0].judgment == fits[1].judgment


@pytest.mark.parametrize("name", ["auto", "sure", "coupled", "windowed-variance"])
def test_a_fit_that_is_let_go_is_freed_at_once(name):
    y = truth() + 0.05 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    fit = fit_to(Problem(y, torch.ones(SHAPE), torch.tensor([0.05])), RULES[name](), n_steps=3)
    for _ in fit:
        pass
    alive = [weakref.ref(x) for x in (fit, fit.generator, fit.problem, fit.snapshots, fit.rule)]
    gc.collect()  # what checks of types have left behind
    gc.disable()
    try:
        del fit, _
        assert [ref() for ref in alive] == [None] * len(alive)
    finally:
        gc.enable()
