"""The error of the image, as the pixels left out tell it together with the noise level, and the step that is kept by it."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from held_out_rule import begin, begun, iterate_of, problem_of, show_curve
from scipy import ndimage

from napari_convgen.core.problem import ErrorWeights, Problem
from napari_convgen.core.stopping import HeldOut, residual
from napari_convgen.core.stopping.ensemble import local_variance

SIGMA = 0.1


@pytest.fixture(autouse=True)
def _noise_level_is_well_known(monkeypatch):
    """The noise level of these problems is exact: what is tested is the rest of the error."""
    monkeypatch.setattr(residual, "LEVEL_ERROR", 0.01)


def smoothed(noisy, members, influence):
    """Outputs in closed form: each value weighs ``influence`` in its own pixel where it is seen, the rest is the truth off by a bit."""
    rng = torch.Generator().manual_seed(7)
    rest = 0.5 + 0.04 * torch.randn(members.weights.shape, generator=rng, dtype=torch.float64)
    return torch.where(members.weights > 0, influence * noisy + (1 - influence) * rest, rest)


@pytest.mark.parametrize("n_seeds", [1, 2, 3])
@pytest.mark.parametrize("influence", [0.0, 0.1, 0.4])
def test_the_error_of_the_image_is_estimated_without_the_truth(influence, n_seeds):
    noise = SIGMA * torch.randn((1, 300, 300), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    problem = Problem(0.5 + noise, torch.ones_like(noise), torch.tensor([SIGMA], dtype=torch.float64))
    rule = HeldOut(0.1, 1, 0.4, 100, "iterate")
    members = begin(rule, problem, n_seeds=n_seeds)
    outputs = smoothed(problem.measurement, members, influence)
    rule.observe(iterate_of(1, outputs, outputs))
    error = rule.judge([1]).error
    true = float(((outputs.mean(0) - 0.5) ** 2).mean())
    assert abs(error.mse - true) < 2 * error.deviation
    assert error.deviation < 0.5 * true


@pytest.mark.parametrize("influence", [0.05, 0.3])
def test_the_error_of_a_mixture_with_guides_is_that_of_the_image_that_is_shown(influence):
    noise = SIGMA * torch.randn((1, 300, 300), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    problem = Problem(0.5 + noise, torch.ones_like(noise), torch.tensor([SIGMA], dtype=torch.float64))
    rule = HeldOut(0.1, 1, 0.4, 100, "iterate")
    members = begin(rule, problem, n_seeds=3)
    rest = 0.5 + 0.04 * torch.randn(noise.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    shown = influence * problem.measurement + (1 - influence) * rest
    outputs = torch.where(members.weights > 0, shown, rest)
    mixed = dataclasses.replace(iterate_of(1, outputs, outputs), kept=(0, 1, 2), correction=shown - outputs.mean(0))
    rule.observe(mixed)
    error = rule.judge([1]).error
    true = float(((shown - 0.5) ** 2).mean())
    assert abs(error.mse - true) < min(2 * error.deviation, 0.1 * true)


@pytest.mark.parametrize(("of_guide", "of_image"), [(0.1, 0.1), (0.1, 0.02), (0.05, 0.3)])
def test_the_influence_that_was_probed_in_the_guide_is_changed_as_pixels_left_out_tell(of_guide, of_image):
    noise = SIGMA * torch.randn((1, 300, 300), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    problem = Problem(0.5 + noise, torch.ones_like(noise), torch.tensor([SIGMA], dtype=torch.float64))
    rule = HeldOut(0.1, 1, 0.4, 100, "iterate")
    members = begin(rule, problem, n_seeds=2)
    guide, image = (smoothed_alike(problem, influence) for influence in (of_guide, of_image))
    guides, outputs = (torch.where(members.weights > 0, each, rest) for each, rest in (guide, image))
    rule.observe(
        dataclasses.replace(
            iterate_of(1, outputs, outputs),
            kept=(0, 1),
            correction=image[0] - outputs.mean(0),
            guides=guides,
            influence=torch.full_like(noise, of_guide),
        )
    )
    true = float(((image[0] - 0.5) ** 2).mean())
    assert rule.judge([1]).error.mse == pytest.approx(true, rel=0.1)


def smoothed_alike(problem, influence):
    """Return an image in which a pixel's own value weighs ``influence``, and one without it; most of their error is the same in all."""
    errors = (
        size
        * torch.randn(problem.measurement.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for size, seed in ((0.03, 3), (0.01, round(1000 * influence)))
    )
    rest = 0.5 + sum(errors)
    return influence * problem.measurement + (1 - influence) * rest, rest


def test_with_correlated_noise_the_error_of_a_mixture_cannot_be_told():
    noise = SIGMA * torch.randn((1, 90, 90), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    problem = Problem(0.5 + noise, torch.ones_like(noise), torch.tensor([SIGMA], dtype=torch.float64), 3)
    outputs = torch.full((2, 1, 90, 90), 0.6, dtype=torch.float64)
    alone = iterate_of(1, outputs, outputs)
    for iterate, is_told in ((alone, True), (dataclasses.replace(alone, correction=0 * outputs[0]), False)):
        rule = HeldOut(0.2, "auto", 0.4, 100, "iterate")
        begin(rule, problem, n_seeds=2)
        rule.observe(iterate)
        assert (rule.judge([1]).error is not None) == is_told


def test_no_error_is_estimated_without_a_noise_level():
    problem = problem_of()
    rule, _ = begun(problem)
    assert show_curve(rule, problem, {1: 1.0}).error is None


def test_a_noise_level_that_cannot_be_right_is_said_and_no_error_estimated():
    problem = dataclasses.replace(problem_of(), noise_level=torch.tensor([2.0], dtype=torch.float64))
    rule, _ = begun(problem)
    judgment = show_curve(rule, problem, {1: 3.0})
    assert (judgment.error, judgment.calibration) == (None, None)
    assert "or correlated" in judgment.warnings[0]


def test_the_expected_error_follows_the_members_variance_where_it_tells_of_the_error():
    rng = torch.Generator().manual_seed(0)
    noise = SIGMA * torch.randn((1, 240, 240), generator=rng, dtype=torch.float64)
    problem = Problem(0.5 + noise, torch.ones_like(noise), torch.tensor([SIGMA], dtype=torch.float64))
    rule = HeldOut(0.2, 1, 0.4, 100, "iterate")
    begin(rule, problem, n_seeds=2)
    scale = torch.linspace(0.01, 0.2, 240, dtype=torch.float64)
    own, common = (
        torch.randn((2, 1, 240, 240), generator=rng, dtype=torch.float64),
        torch.randn((240, 240), generator=rng),
    )
    outputs = 0.5 + scale * (own + 2 * common)
    rule.observe(iterate_of(1, outputs, outputs))
    slope, offset = rule.judge([1]).calibration
    variance = local_variance(outputs)
    true = (outputs.mean(0) - 0.5) ** 2
    expected = slope * variance + offset
    for part in (slice(0, 80), slice(80, 160), slice(160, 240)):
        assert float(expected[..., part].mean()) == pytest.approx(
            float(true[..., part].mean()), abs=0.15 * float(true.mean())
        )


def test_the_error_is_known_better_than_with_the_residuals_of_the_pixels_left_out_alone(two_band_fit):
    step, ours, plain, deviations = 60, [], [], []
    for seed in range(60):
        fit = two_band_fit(shape=(1, 48, 48), seed=seed)
        rule = HeldOut(0.1, 1, 0.4, 100, "iterate")
        members = rule.members(fit.problem, 2, torch.Generator().manual_seed(seed))
        rule.begin(fit.problem, members)
        is_seen = members.weights > 0
        members = dataclasses.replace(
            members, measurements=torch.where(is_seen, members.measurements, fit.truth.mean())
        )
        noise, left_out = float(fit.sigma[0]) ** 2, float(rule.observe(fit.iterate(step, members)))
        outputs = fit.outputs(step, members)
        influence = 1 - math.sqrt(float(((outputs - fit.problem.measurement) ** 2)[is_seen].mean()) / left_out)
        mse = 0.1 * (left_out - noise) + 0.9 * (influence**2 * noise + (1 - influence) ** 2 * (left_out - noise))
        plain.append(mse - float(((outputs[0] - outputs[1]) ** 2).mean()) / 4 - fit.error(step, members))
        error = rule.judge([step]).error
        ours.append(error.mse - fit.error(step, members))
        deviations.append(error.deviation)
    ours, plain, deviations = torch.tensor(ours), torch.tensor(plain), torch.tensor(deviations)
    assert float(ours.std()) < 0.8 * float(plain.std())
    assert 0.8 < float(deviations.mean()) / float(ours.std()) < 1.4


def test_values_missing_in_one_channel_do_not_count_in_the_error():
    errors = []
    for share_missing in (0, 0.5):
        is_observed = torch.ones((2, 40, 40))
        is_observed[1, :, : round(40 * share_missing)] = 0
        problem = dataclasses.replace(
            problem_of((2, 40, 40), is_observed), noise_level=torch.ones(2, dtype=torch.float64)
        )
        rule = HeldOut(0.1, 1, 0.6, 100, "iterate")
        members = begin(rule, problem, n_seeds=2)
        images = problem.measurement + torch.where(members.weights > 0, 2.0, 3.0).sqrt()
        images = torch.where(is_observed > 0, images, 1e3)
        rule.observe(iterate_of(1, images, images))
        errors.append(rule.judge([1]).error.mse)
    assert errors[1] == pytest.approx(errors[0], rel=0.05)


SMOOTHING_STEPS = tuple(range(10, 400, 15))


def smoothing_fit(seed, level_factor=1.0, patience=1e9):
    """Excess error of the step kept where each step is a narrower Gaussian mean over the pixels seen; ``None`` does not know the noise."""
    rng = np.random.default_rng(seed)
    truth = 0.5 + ndimage.gaussian_filter(rng.standard_normal((96, 96)), 4)
    noisy = torch.as_tensor(truth + SIGMA * rng.standard_normal(truth.shape))[None]
    level = None if level_factor is None else torch.tensor([level_factor * SIGMA], dtype=torch.float64)
    problem = Problem(noisy, torch.ones_like(noisy), level)
    rule = HeldOut(0.1, 1, patience, 0, "iterate")
    seen = begin(rule, problem, seed, n_seeds=2).weights.numpy()
    errors = {}
    for step in SMOOTHING_STEPS:
        width = (0, 20 / math.sqrt(step), 20 / math.sqrt(step))
        total, count = (np.stack([ndimage.gaussian_filter(x, width) for x in y]) for y in (seen * noisy.numpy(), seen))
        images = torch.as_tensor(total / count)
        rule.observe(iterate_of(step, images, images))
        errors[step] = float(((images.mean(0)[0] - torch.as_tensor(truth)) ** 2).mean())
    judgment = rule.judge(SMOOTHING_STEPS)
    return errors[judgment.step] / min(errors.values()) - 1, judgment, rule


def test_the_step_of_the_least_estimated_error_is_nearer_to_the_best_than_the_pixels_left_out_alone():
    known, unknown = (np.mean([smoothing_fit(seed, f)[0] for seed in range(10)]) for f in (1.0, None))
    assert known < 0.5 * unknown


def test_errors_are_compared_in_the_users_units():
    units = iter([3.0, 1.0, 2.0])  # in a real problem the unit of an error depends on the image, here on the step
    problem = dataclasses.replace(problem_of(), noise_level=torch.tensor([0.1], dtype=torch.float64))
    variance = torch.full_like(problem.measurement, 0.01)
    weights = problem.weights / problem.weights.sum()
    rule = HeldOut(0.1, 1, 0.4, 100, "iterate")
    begin(
        rule,
        dataclasses.replace(problem, error_weights=lambda _: ErrorWeights(weights, next(units), variance)),
        n_seeds=2,
    )
    for step in (1, 2, 3):
        images = (problem.measurement + 0.3).repeat(2, 1, 1, 1)
        rule.observe(iterate_of(step, images, images))
    assert rule.judge([1, 2, 3]).step == 2


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2])
def test_a_wrong_noise_level_does_not_lead_away_from_what_the_pixels_left_out_say(factor):
    for seed in range(4):
        excess, judgment, _ = smoothing_fit(seed, factor)
        assert excess < 0.4
        assert judgment.interval[0] <= judgment.step <= judgment.interval[1] < SMOOTHING_STEPS[-1]


def test_the_error_is_estimated_only_of_what_a_settled_generator_draws(two_band_fit):
    fit, rule, steps = two_band_fit(), HeldOut(0.1, 1, -1, 0, "iterate"), [20, 40, 80, 160, 320]
    fit.problem = dataclasses.replace(fit.problem, noise_level=0.2 * fit.sigma)
    members = begin(rule, fit.problem, n_seeds=2)
    for step in steps:
        rule.observe(dataclasses.replace(fit.iterate(step, members), is_settled=step > 100))
        judgment = rule.judge([s for s in steps if s <= step])
        assert (judgment.step > 100) == (judgment.error is not None) == (step > 100)
        assert (judgment.reason is not None) == (step > 100)  # with so little patience any other fit ends at once


def test_the_fit_goes_on_while_the_estimated_error_is_still_falling():
    _, judgment, rule = smoothing_fit(0, 0.8, patience=0)
    assert judgment.reason is not None
    for n in range(len(SMOOTHING_STEPS) - 1, 8, -1):
        judgment = rule.judge(SMOOTHING_STEPS[:n])  # shorter each time: what came later is forgotten
        assert (judgment.reason is None) == (judgment.step == SMOOTHING_STEPS[n - 1])
    assert judgment.step > 100


def test_a_fit_that_draws_every_pixel_seen_to_the_last_bit_is_no_obstacle():
    problem = dataclasses.replace(problem_of(), noise_level=torch.tensor([0.1], dtype=torch.float64))
    rule = HeldOut(0.1, 1, 0.6, 100, "iterate")
    members = begin(rule, problem, n_seeds=2)
    images = torch.where(members.weights > 0, problem.measurement, problem.measurement + 0.3)
    rule.observe(iterate_of(1, images, images))
    judgment = rule.judge([1])
    assert (judgment.step, judgment.error) == (1, None)


def test_once_a_generator_is_settled_what_it_drew_before_is_not_kept():
    problem = dataclasses.replace(problem_of(), noise_level=torch.tensor([0.01], dtype=torch.float64))
    rule = HeldOut(0.1, 1, 0.4, 100, "iterate")
    begin(rule, problem, n_seeds=2)
    for step, error in ((1, 0.3), (2, 0.1), (3, 0.2)):
        images = (problem.measurement + error).repeat(2, 1, 1, 1)
        rule.observe(dataclasses.replace(iterate_of(step, images, images), is_settled=step == 3))
        judgment = rule.judge(range(1, step + 1))
        assert judgment.step == step
        assert judgment.interval == (step, step)


def test_a_noise_level_that_was_given_is_no_source_of_error_and_that_of_a_small_image_is_known_less():
    def told(side, **known):
        noise = torch.zeros((1, side, side), dtype=torch.float64)
        return residual.noise_level_error(Problem(noise, torch.ones_like(noise), torch.ones(1), **known))

    assert told(32, is_level_given=True) == 0
    assert told(32) > 2 * told(256) > 2 * residual.LEVEL_ERROR


def test_a_frame_that_is_background_alone_is_not_said_to_be_predicted_too_well():
    problem = dataclasses.replace(
        problem_of((1, 40, 40)),
        noise_level=torch.ones(1, dtype=torch.float64),
        error_weights=lambda values: ErrorWeights(
            torch.ones_like(values) / values.numel(), 0.0, torch.ones_like(values)
        ),
    )
    rule = HeldOut(0.1, 1, 0.4, 100, "iterate")
    begin(rule, problem)
    outputs = torch.zeros((1, 1, 40, 40), dtype=torch.float64)
    rule.observe(iterate_of(1, outputs, outputs))
    assert rule.judge([1]).warnings == ()


def test_the_map_of_an_image_is_scaled_for_that_image_though_an_earlier_one_is_kept():
    noise = SIGMA * torch.randn((1, 120, 120), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    problem = Problem(0.5 + noise, torch.ones_like(noise), torch.tensor([SIGMA], dtype=torch.float64))
    rule = HeldOut(0.1, 1, 0.4, 100, "iterate")
    members = begin(rule, problem, n_seeds=2)
    for step, influence in ((1, 0.05), (2, 0.6)):
        outputs = smoothed(problem.measurement, members, influence)
        rule.observe(iterate_of(step, outputs, outputs))
        judgment = rule.judge(range(1, step + 1))
    assert judgment.step == 1
    slope, offset = judgment.calibration
    told = slope * float(local_variance(outputs).mean()) + offset
    assert told == pytest.approx(float(((outputs.mean(0) - 0.5) ** 2).mean()), rel=0.2)
