import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from held_out_rule import begin, begun, iterate_of, problem_of, show, show_curve
from scipy import ndimage

from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping import HeldOut
from napari_convgen.core.stopping.entries import draw_entries


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


def test_through_an_operator_the_step_of_the_least_error_is_kept_though_a_later_one_is_as_good():
    """What a blur hides of the noise in fine structure does not raise the error of held-out entries."""
    operator = LinearMap(torch.clone, (1, 40, 40), (1, 40, 40), torch.clone)
    problem = replace(problem_of((1, 40, 40)), operator=operator)
    rule, weights = begun(problem)
    one = torch.ones_like(weights)
    judgment = show_curve(rule, problem, {10: one, 20: with_paired_differences(weights, 0.9), 200: 2 * one})
    assert (judgment.step, judgment.interval) == (10, (10, 20))
    assert str(judgment.reason).endswith("was least at step 10 and has not improved by step 200; it is kept.")


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


@pytest.mark.parametrize("n", [5, 7, 40])
@pytest.mark.parametrize("n_sets", [1, 2, 3])
def test_sets_of_entries_are_disjoint_also_where_they_are_half_of_a_few(n, n_sets):
    sets = draw_entries(torch.ones(n, dtype=torch.bool), 1 / 2, n_sets, torch.Generator().manual_seed(0))
    assert all(0 < int(each.sum()) < n for each in sets)
    assert int(torch.stack(sets).sum(0).max()) == 1
