"""Each rule estimates the error of the image in the user's units, with the noise of each pixel."""

import dataclasses

import pytest
import torch

from napari_convgen.core.problem import ErrorWeights
from napari_convgen.core.stopping import HeldOut
from napari_convgen.core.stopping.coupled import CoupledSplit
from napari_convgen.core.stopping.ensemble import local_variance
from napari_convgen.core.stopping.sure import MonteCarloSure

STEP, N_SEEDS = 5, 30


def uneven(fit, spread):
    """Give a fit a truth, noise and error weights that grow from left to right; return the slope of the user's units."""
    growth = torch.linspace(-1, 1, fit.truth.shape[-1], dtype=torch.float64)
    level, slope = fit.sigma[0] * (spread * growth).exp(), 100 * growth.exp()
    noise = fit.noise / fit.sigma[0] * level
    fit.truth = fit.truth * growth.exp()
    weights = slope.expand_as(noise) ** 2
    error_weights = ErrorWeights(weights / weights.sum(), float(weights.mean()), (level**2).expand_as(noise))
    mean_level = (level**2).mean().sqrt()[None]
    fit.problem = dataclasses.replace(
        fit.problem, measurement=fit.truth + noise, noise_level=mean_level, error_weights=lambda _: error_weights
    )
    return slope


@pytest.mark.parametrize(
    ("new_rule", "spread"),
    [
        (lambda: HeldOut(0.2, 1, 0.4, 100, "iterate"), 0.7),
        (lambda: MonteCarloSure("iterate", probe_size=0.01), 0.7),
        (lambda: CoupledSplit("iterate"), 0.0),  # the noise that it adds is the same everywhere
    ],
    ids=["held-out", "sure", "coupled"],
)
def test_the_error_is_that_in_the_users_units_with_the_noise_of_each_pixel(two_band_fit, new_rule, spread):
    errors, true, even = [], [], []
    for seed in range(N_SEEDS):
        fit, rule = two_band_fit(shape=(1, 64, 64), seed=seed), new_rule()
        slope = uneven(fit, spread)
        members = rule.members(fit.problem, 2, torch.Generator().manual_seed(seed + N_SEEDS))  # not those of the noise
        if isinstance(rule, HeldOut):  # the filter is no network: it would take zeros where nothing is seen
            seen = members.weights > 0
            members = dataclasses.replace(members, measurements=torch.where(seen, members.measurements, fit.truth))
        rule.begin(fit.problem, members)
        iterate = fit.iterate(STEP, members)
        rule.observe(iterate)
        errors.append(rule.judge([STEP]).error.mse)
        square = (iterate.output - fit.truth) ** 2
        true.append(float((slope**2 * square).mean()))
        even.append(float((slope**2).mean() * square.mean()))
    errors, true, even = torch.tensor(errors), torch.tensor(true), torch.tensor(even)
    spread_of_mean = float((errors - true).std()) / N_SEEDS**0.5
    assert abs(float((errors - true).mean())) < max(3 * spread_of_mean, 0.03 * float(true.mean()))
    assert abs(float((even - true).mean())) > 0.2 * float(true.mean())


def test_the_expected_error_is_that_of_the_image_in_the_users_units(two_band_fit):
    fit, rule = two_band_fit(shape=(1, 64, 64)), HeldOut(0.2, 1, 0.4, 100, "iterate")
    slope = uneven(fit, 0.7)
    members = rule.members(fit.problem, 2, torch.Generator().manual_seed(0))
    rule.begin(fit.problem, members)
    iterate = fit.iterate(STEP, members)
    rule.observe(iterate)
    judgment = rule.judge([STEP])
    a, b = judgment.calibration
    expected = slope**2 * (a * local_variance(iterate.outputs) + b)
    assert float(expected.mean()) == pytest.approx(judgment.error.mse, rel=0.1)


@pytest.mark.parametrize(
    "new_rule",
    [
        lambda: HeldOut(0.2, 1, 0.4, 100, "iterate"),
        lambda: MonteCarloSure("iterate"),
        lambda: CoupledSplit("iterate"),
    ],
    ids=["held-out", "sure", "coupled"],
)
def test_background_alone_has_no_error(two_band_fit, new_rule):
    fit, rule = two_band_fit(), new_rule()
    error_weights = dataclasses.replace(fit.problem.error_weights_at(fit.truth), unit=0.0)
    fit.problem = dataclasses.replace(fit.problem, error_weights=lambda _: error_weights)
    members = rule.members(fit.problem, 2, torch.Generator().manual_seed(1))
    rule.begin(fit.problem, members)
    rule.observe(fit.iterate(STEP, members))
    assert rule.judge([STEP]).error is None
