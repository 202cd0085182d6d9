"""The mixture of the generator's images with guides."""

from functools import partial

import numpy as np
import pytest
import torch

from napari_convgen.core.fit.guides import MOST_CORRELATED, SPREAD, USUAL_JOINT, Guides
from napari_convgen.core.fit.guides import Mixture as AnyMixture
from napari_convgen.core.operators.fourier import fourier
from napari_convgen.core.problem import ErrorWeights, Problem
from napari_convgen.core.stopping import HeldOut, Members
from napari_convgen.core.stopping.rule import plain_members

SHAPE = (1, 24, 20)
USUAL_SHARE = 0.2
Mixture = partial(AnyMixture, usual_share=USUAL_SHARE)


def draw(seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(2, *SHAPE)).astype(np.float32))


def held_out(problem):
    return HeldOut(0.2, 1, 0.4, 100, "average").members(problem, 2, torch.Generator().manual_seed(0))


def test_the_share_is_the_weighted_fit_to_pixels_that_were_left_out_drawn_towards_the_usual_one():
    clean, u = draw(0)[0], torch.from_numpy(np.random.default_rng(3).random(SHAPE).astype(np.float32))
    variance = 0.5 + u
    weights = ErrorWeights(u / u.sum(), 2.0, variance)
    problem = Problem(clean, torch.ones(SHAPE), error_weights=lambda image: weights)
    members, guides, images = held_out(problem), clean + draw(1), clean + draw(2)
    mixture = Mixture(problem, Guides(guides.mean(0), guides), members, None)
    left_out = members.weights == 0
    assert torch.equal(left_out, members.watched)
    y, d = ((x - guides)[left_out].double().numpy() for x in (clean, images))
    u, variance = (x.expand(2, *SHAPE)[left_out].double().numpy() for x in (u, variance))
    fitted = np.sum(u * d * y) / np.sum(u * d**2)
    precision = np.sum(u * d**2) ** 2 / np.sum(u**2 * variance * d**2)
    expected = (fitted * precision + USUAL_SHARE / SPREAD**2) / (precision + SPREAD**-2)
    assert 0 < expected < 1
    assert abs(expected - fitted) > 0.02
    assert np.isclose(float(mixture.share(images)), expected, rtol=1e-4)
    assert torch.allclose(mixture(images), guides + expected * (images - guides), atol=1e-5)


@pytest.mark.parametrize("better", [0.5, 0.0, 2.0])
def test_the_share_is_less_as_far_as_the_guide_is_better_where_it_has_seen_the_pixels(better):
    clean, level = draw(0)[0], 0.3
    y = clean + level * draw(4)[0]
    problem = Problem(y, torch.ones(SHAPE), torch.tensor([level]))
    members, influence = held_out(problem), torch.full(SHAPE, 0.1)
    whole, guides, images = clean + better * draw(5)[0], clean + draw(1), clean + draw(2)
    mixture = Mixture(problem, Guides(whole, guides, influence), members, None)
    watched = members.watched
    y_left, d = ((x - guides)[watched].double().numpy() for x in (y, images))
    seen = (y - whole).double().numpy()
    q = np.mean(seen**2 - (1 - 2 * 0.1) * level**2) / np.mean(y_left**2 - level**2)
    q = min(max(q, 0), 1)
    assert (q < 0.5) if better < 1 else q == 1
    fitted, variance = q * np.sum(d * y_left) / np.sum(d**2), q**2 * level**2 / np.sum(d**2)
    expected = (fitted * SPREAD**2 + USUAL_SHARE * variance) / (SPREAD**2 + variance)
    assert np.isclose(float(mixture.share(images)), expected, rtol=1e-3, atol=1e-6)


def test_the_pixels_in_the_middle_of_a_square_count_as_one():
    clean, noise = draw(0)[0], 0.6
    problem = Problem(clean, torch.ones(SHAPE), torch.tensor([noise]), 3)
    members, guides, images = held_out(problem), clean + 0.1 * draw(1), clean + 0.1 * draw(2)
    mixture = Mixture(problem, Guides(guides.mean(0), guides), members, None)
    y, d = ((x - guides)[members.watched].double().numpy() for x in (clean, images))
    fitted, precision = np.sum(d * y) / np.sum(d**2), np.sum(d**2) / (9 * noise**2)
    expected = fitted * precision / (precision + SPREAD**-2)
    assert 0.001 < expected < MOST_CORRELATED
    assert np.isclose(float(mixture.share(images)), expected, rtol=1e-4)
    better = Mixture(problem, Guides(clean, guides + draw(3)), members, None)
    assert float(better.share(clean.expand(2, *SHAPE))) == pytest.approx(MOST_CORRELATED)


def test_pixels_that_a_member_has_seen_do_not_count():
    clean = draw(0)[0]
    problem = Problem(clean, torch.ones(SHAPE), torch.tensor([0.01]))
    members, guides, images = held_out(problem), clean + draw(1), clean + draw(2)
    mixture = Mixture(problem, Guides(guides.mean(0), guides), members, None)
    other = torch.where(members.watched, images, 100.0)
    assert torch.equal(mixture.share(images), mixture.share(other))


def test_the_share_lies_within_the_two():
    clean = draw(0)[0]
    problem = Problem(clean, torch.ones(SHAPE), torch.tensor([0.01]))
    members, worse = held_out(problem), clean + draw(1)
    exact = clean.expand(2, *SHAPE)
    assert float(Mixture(problem, Guides(clean, exact), members, None).share(worse)) < 0.02
    assert float(Mixture(problem, Guides(worse.mean(0), worse), members, None).share(exact)) > 0.98
    beyond = 2 * clean - worse  # a step of two would be best
    assert float(Mixture(problem, Guides(worse.mean(0), worse), members, None).share(worse + (beyond - worse) / 4)) == 1


def test_at_the_noise_floor_the_guide_stays():
    """Half of the image has no signal: there the mixture is the guide, and the rest has the share that suits it."""
    clean, signal = draw(0)[0], torch.ones(SHAPE)
    signal[..., :10] = 0
    weights = ErrorWeights(signal / signal.sum(), 2.0, torch.ones(SHAPE), signal)
    problem = Problem(clean, torch.ones(SHAPE), error_weights=lambda image: weights)
    guides, images = clean + draw(1), clean + draw(2)
    mixture = Mixture(problem, Guides(guides.mean(0), guides), held_out(problem), None)
    mixed, share = mixture(images), float(mixture.share(images))
    assert torch.equal(mixed[..., :10], guides[..., :10])
    assert torch.allclose(mixed[..., 10:], torch.lerp(guides, images, share)[..., 10:], atol=1e-5)
    assert 0.1 < share < 0.9


def test_pixels_without_weight_leave_the_usual_share():
    clean = draw(0)[0]
    nothing = ErrorWeights(torch.zeros(SHAPE).index_fill_(1, torch.tensor([0]), 1.0), 2.0, torch.ones(SHAPE))
    problem = Problem(clean, torch.ones(SHAPE), error_weights=lambda image: nothing)
    members, guides = held_out(problem), clean + draw(1)
    members.watched[:, :, 0] = False
    mixture = Mixture(problem, Guides(guides.mean(0), guides), members, None)
    assert float(mixture.share(clean + draw(2))) == pytest.approx(USUAL_SHARE)
    same = Mixture(
        Problem(clean, torch.ones(SHAPE), torch.tensor([0.01])), Guides(clean, guides), held_out(problem), None
    )
    assert float(same.share(guides)) == pytest.approx(USUAL_SHARE)


def test_a_share_can_be_given_and_has_a_usual_value_where_no_pixels_are_left_out():
    clean = draw(0)[0]
    problem = Problem(clean, torch.ones(SHAPE), torch.tensor([0.01]))
    guides = Guides(clean, clean + draw(1))
    assert Mixture(problem, guides, plain_members(problem, 2), None).share(draw(2)) == USUAL_SHARE
    assert Mixture(problem, guides, held_out(problem), 0.7).share(draw(2)) == 0.7
    joint = Guides(clean, clean + draw(1), is_joint=True)
    assert Mixture(problem, joint, plain_members(problem, 2), None).share(draw(2)) == USUAL_JOINT < USUAL_SHARE


def test_what_the_members_guides_lack_is_added_to_the_mean_of_those_that_are_kept():
    clean, guides = draw(0)[0], draw(1)
    problem = Problem(clean, torch.ones(SHAPE), torch.tensor([0.01]))
    members = Members(guides, torch.ones(2, *SHAPE), (0, 1), (True, False))
    assert torch.equal(Mixture(problem, Guides(clean, guides), members, 0.0).correction, clean - guides[0])


def test_with_correlated_noise_it_is_drawn_towards_the_guide():
    clean = draw(0)[0]
    white, red = (Problem(clean, torch.ones(SHAPE), torch.tensor([3.0]), n) for n in (1, 2))
    members, guides, images = held_out(white), clean + draw(1), clean + draw(2)
    shares = [float(Mixture(each, Guides(clean, guides), members, None).share(images)) for each in (white, red)]
    assert shares[1] < shares[0] - 0.05
    assert Mixture(red, Guides(clean, guides), plain_members(red, 2), None).share(images) == 0


def test_through_an_operator_the_share_is_fitted_to_complex_entries_that_were_left_out():
    operator = fourier(
        torch.ones(1, 24, 20, dtype=torch.complex64), torch.ones(24, 20, dtype=torch.bool), readout_axis=1
    )
    clean, noise = torch.cat((draw(0)[0], draw(5)[0])), torch.tensor([1e-4])
    problem = Problem(operator.apply(clean), torch.ones(1, 24, 20), noise, operator=operator)
    members = held_out(problem)
    guides = clean + torch.stack((torch.cat((draw(1)[0], draw(2)[0])), torch.cat((draw(3)[0], draw(4)[0]))))
    mixture = Mixture(problem, Guides(guides.mean(0), guides), members, None)
    towards = guides + 2 * (clean - guides)  # half of the way is the clean image
    assert float(mixture.share(towards)) == pytest.approx(0.5, abs=1e-3)
    assert torch.allclose(mixture(towards), clean.expand_as(guides), atol=1e-2)
