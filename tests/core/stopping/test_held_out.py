import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.problem import ErrorWeights, Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping import HeldOut, Iterate
from napari_convgen.core.stopping.ensemble import local_variance


def problem_of(shape=(1, 20, 20), is_observed=None, seed=0):
    y = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Problem(y, torch.ones_like(y) if is_observed is None else is_observed.to(y))


def begun(problem, seed=0, n_seeds=1, **options):
    """A rule that is ready, and the weights of its first member."""
    rule = HeldOut(**{"fraction": 0.1, "size": 1, "patience": 0.6, "min_patience": 100, "output": "iterate"} | options)
    return rule, begin(rule, problem, seed, n_seeds).weights[0]


def begin(rule, problem, seed=0, n_seeds=1):
    members = rule.members(problem, n_seeds, torch.Generator().manual_seed(seed))
    rule.begin(problem, members)
    return members


def iterate_of(step, outputs, averages, is_snapshot=True):
    return Iterate(step, torch.tensor(0.0), outputs, averages, is_snapshot, tuple(range(len(outputs))))


def show(rule, problem, step, squared_error, is_snapshot=True):
    """Show the rule an image with these squared errors, one for all pixels or one a pixel."""
    image = problem.measurement + torch.as_tensor(squared_error, dtype=torch.float64).sqrt()
    return float(rule.observe(iterate_of(step, image[None], torch.full_like(image, 9.0)[None], is_snapshot)))


def show_curve(rule, problem, errors):
    for step, error in errors.items():
        show(rule, problem, step, error)
    return rule.judge(list(errors))


def test_held_out_pixels_get_no_weight_and_all_others_theirs():
    problem = problem_of((3, 40, 50))
    _, weights = begun(problem, fraction=0.2)
    is_held_out = weights[0] == 0
    assert 0.17 < is_held_out.double().mean() < 0.23
    assert (weights[:, is_held_out] == 0).all()
    assert (weights[:, ~is_held_out] == 1).all()


def test_the_criterion_is_the_mean_squared_error_over_just_the_held_out_pixels():
    problem = problem_of((2, 12, 15))
    rule, weights = begun(problem)
    errors = torch.rand(weights.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert show(rule, problem, 1, errors) == pytest.approx(float(errors[weights == 0].mean()), rel=1e-12)


def test_missing_pixels_are_neither_fitted_nor_held_out():
    is_observed = torch.rand((1, 20, 20), generator=torch.Generator().manual_seed(5)) > 0.3
    problem = problem_of(is_observed=is_observed)
    rule, weights = begun(problem, fraction=0.3)
    assert (weights[~is_observed] == 0).all()
    assert show(rule, problem, 1, torch.where(is_observed, 0.0, 100.0)) == 0
    is_held_out = is_observed & (weights == 0)
    assert show(rule, problem, 2, torch.where(is_held_out, 3.0, 100.0)) == pytest.approx(3)


def test_values_missing_in_one_channel_do_not_count_in_the_criterion():
    is_observed = torch.ones((2, 20, 20))
    is_observed[1, :, ::2] = 0
    problem = problem_of(is_observed=is_observed, shape=(2, 20, 20))
    rule, _ = begun(problem)
    assert show(rule, problem, 1, torch.where(is_observed > 0, 2.0, 100.0)) == pytest.approx(2)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.89])
@pytest.mark.parametrize("n_observed", [2, 3, 5])
def test_some_observed_pixels_are_fitted_and_some_held_out_however_few_there_are(n_observed, fraction):
    is_observed = torch.zeros(36)
    is_observed[7 : 7 + n_observed] = 1
    problem = problem_of((1, 6, 6), is_observed.reshape(1, 6, 6))
    for seed in range(30):
        rule, weights = begun(problem, seed, fraction=fraction)
        assert 0 < weights.sum() < n_observed
        assert show(rule, problem, 1, 0.5) == pytest.approx(0.5)


def test_the_seed_decides_which_pixels_are_held_out():
    problem = problem_of()
    one, same, other = (begun(problem, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_default_dtype_of_the_session_does_not_decide_which_pixels_are_held_out():
    problem = problem_of()
    usual = begun(problem)[1]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(begun(problem)[1], usual)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("output", ["average", "iterate"])
def test_the_image_that_is_kept_is_the_one_watched(output):
    problem = problem_of()
    rule, _ = begun(problem, output=output)
    y = problem.measurement
    images = {"average": y + 2, "iterate": y + 3}
    criterion = rule.observe(iterate_of(1, images["iterate"][None], images["average"][None]))
    assert float(criterion) == pytest.approx({"average": 4, "iterate": 9}[output])


def test_the_step_of_the_least_error_is_kept():
    problem = problem_of()
    rule, _ = begun(problem)
    judgment = show_curve(rule, problem, {step: 1 + abs(step - 40) / 100 for step in range(1, 80)})
    assert (judgment.step, judgment.reason) == (40, None)


def test_an_error_that_still_falls_keeps_the_last_step():
    problem = problem_of()
    rule, _ = begun(problem)
    assert show_curve(rule, problem, {step: 1 / step for step in range(1, 30)}).step == 29


def with_paired_differences(weights, mean_in_standard_errors):
    """Errors around 1 whose held-out part exceeds 1 by a number of standard errors of the paired difference in the mean."""
    is_held_out = weights == 0
    noise = torch.randn(int(is_held_out.sum()), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    noise = 0.05 * (noise - noise.mean()) / noise.std(correction=0)
    standard_error = 0.05 / math.sqrt(len(noise))
    errors = torch.ones_like(weights)
    errors[is_held_out] += noise + mean_in_standard_errors * standard_error
    return errors


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        ({20: 0.99}, 20),
        ({20: 1.01}, 10),
        ({20: 0.9, 30: 0.5}, 30),
        ({20: 0.9, 30: 1.2}, 20),
        ({20: 1.5, 30: 0.9, 40: 1.1}, 30),
    ],
)
def test_the_latest_step_within_one_standard_error_of_the_least_error_is_kept(later, kept):
    problem = problem_of((1, 40, 40))
    rule, weights = begun(problem)
    curve = {5: torch.full_like(weights, 1.00001), 10: torch.ones_like(weights)}
    curve |= {step: with_paired_differences(weights, mean) for step, mean in later.items()}
    assert show_curve(rule, problem, curve).step == kept


def test_noise_common_to_both_steps_does_not_widen_the_standard_error():
    problem = problem_of((1, 40, 40))
    rule, _ = begun(problem)
    common = 5 * torch.rand((1, 40, 40), generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    assert show_curve(rule, problem, {10: common, 20: common + 0.01}).step == 10


@pytest.mark.parametrize(
    ("best", "patience", "min_patience", "first_end"),
    [(20, 0.5, 10, 41), (100, 0.5, 10, 161), (20, 0, 0, 21), (20, 0.6, 100, 133)],
)
def test_patience_is_relative_to_the_step_of_the_least_error(best, patience, min_patience, first_end):
    problem = problem_of()
    rule, _ = begun(problem, patience=patience, min_patience=min_patience)
    steps = []
    for step in range(1, first_end + 1):
        show(rule, problem, step, 1 + abs(step - best) / 1000)
        steps.append(step)
        judgment = rule.judge(steps)
        assert (judgment.reason is not None) == (step == first_end)
    assert judgment.step == best
    assert judgment.reason.outcome is Outcome.RULE
    assert f"least at step {best} " in judgment.reason.sentence
    assert f"by step {first_end};" in judgment.reason.sentence


def test_only_snapshots_that_are_still_there_are_chosen():
    problem = problem_of()
    rule, _ = begun(problem)
    errors = {1: 3.0, 2: 2.0, 3: 1.0, 4: 1.5, 5: 2.5}
    for step, error in errors.items():
        show(rule, problem, step, error)
    assert rule.judge([1, 2, 3, 4, 5]).step == 3
    assert rule.judge([1, 4, 5]).step == 4


def test_steps_without_a_snapshot_are_not_remembered():
    problem = problem_of()
    rule, _ = begun(problem)
    show(rule, problem, 1, 2.0)
    assert show(rule, problem, 2, 1.0, is_snapshot=False) == pytest.approx(1)
    show(rule, problem, 3, 1.5)
    assert rule.judge([1, 3]).step == 3
    with pytest.raises(KeyError):
        rule.judge([1, 2, 3])


def correlated(noise):
    return torch.as_tensor(ndimage.uniform_filter(noise, 3) * 3)


@pytest.mark.parametrize(("process", "size"), [(torch.as_tensor, 1), (correlated, 5)])
def test_squares_are_held_out_with_correlated_noise(process, size):
    noise = np.random.default_rng(0).normal(0.5, 0.1, (96, 96))
    image = ImageTensor.of(process(noise).numpy(), Layout.of(noise.shape))
    rule = HeldOut(0.1, "auto", 0.4, 100, "average")
    weights = begin(rule, Problem.of(image, torch.device("cpu"))).weights
    assert rule.size == size
    assert 0.03 < float((weights == 0).double().mean()) < 0.2


def test_only_the_middle_of_a_square_is_watched_and_all_of_it_left_out():
    problem = Problem(torch.rand((1, 60, 60), dtype=torch.float64), torch.ones((1, 60, 60), dtype=torch.float64))
    rule = HeldOut(0.1, 7, 0.4, 100, "average")
    weights = begin(rule, problem).weights[0, 0]
    for place in rule._places.tolist():
        row, column = divmod(place, 60)
        assert (weights[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] == 0).all()


def test_too_small_an_image_for_squares_leaves_out_pixels():
    noise = correlated(np.random.default_rng(0).normal(0.5, 0.1, (24, 24)))
    rule = HeldOut(0.1, "auto", 0.4, 100, "average")
    begin(rule, Problem(noise[None], torch.ones_like(noise)[None], correlation_length=3))
    assert rule.size == 1


@pytest.mark.parametrize("size", [1, 5])
def test_members_leave_different_pixels_out_and_each_is_watched_at_its_own(size):
    problem = problem_of((2, 60, 70))
    rule = HeldOut(0.1, size, 0.4, 100, "iterate")
    members = begin(rule, problem, n_seeds=3)
    is_left_out = members.weights[:, 0] == 0
    assert (is_left_out.sum(0) <= 1).all()
    assert is_left_out.double().mean((1, 2)).tolist() == pytest.approx([0.1] * 3, abs=0.03)
    assert (members.starts, members.is_kept) == ((0, 1, 2), (True,) * 3)
    errors = torch.rand(members.weights.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    criterion = rule.observe(iterate_of(1, problem.measurement + errors.sqrt(), errors))
    own = [errors[i].flatten(1)[:, places] for i, places in enumerate(rule._watched)]
    assert float(criterion) == pytest.approx(float(torch.cat(own, 1).mean()), rel=1e-12)
    for places, left_out in zip(rule._watched, is_left_out, strict=True):
        assert left_out.flatten()[places].all()


def test_more_members_than_shares_leave_less_out():
    problem = problem_of((1, 30, 30))
    members = begin(HeldOut(0.3, 1, 0.4, 100, "iterate"), problem, n_seeds=6)
    assert ((members.weights == 0).sum(0) == 1).double().mean() > 0.98


def test_the_steps_that_cannot_be_told_from_the_best_are_an_interval():
    problem = problem_of((1, 40, 40))
    rule, weights = begun(problem)
    curve = {5: 2.0, 10: with_paired_differences(weights, 0.9), 20: torch.ones_like(weights)}
    curve |= {30: with_paired_differences(weights, 0.5), 40: 2.0}
    assert show_curve(rule, problem, curve).interval == (10, 30)


SIGMA = 0.1


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
