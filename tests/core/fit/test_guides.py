"""The mixture of the generator's images with guides."""

import numpy as np
import torch

from napari_convgen.core.fit.guides import USUAL_SHARE, Guides, Mixture
from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import HeldOut, Members
from napari_convgen.core.stopping.rule import plain_members

SHAPE = (1, 24, 20)


def draw(seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(2, *SHAPE)).astype(np.float32))


def held_out(problem):
    return HeldOut(0.2, 1, 0.4, 100, "average").members(problem, 2, torch.Generator().manual_seed(0))


def test_the_share_is_the_least_squares_fit_to_pixels_that_were_left_out():
    clean = draw(0)[0]
    problem = Problem(clean, torch.ones(SHAPE))
    members, guides, images = held_out(problem), clean + draw(1), clean + draw(2)
    mixture = Mixture(problem, Guides(guides.mean(0), guides), members, None)
    left_out = members.weights == 0
    assert torch.equal(left_out, members.watched)
    target, step = (clean - guides)[left_out].double().numpy(), (images - guides)[left_out].double().numpy()
    expected = float(np.linalg.lstsq(step[:, None], target, rcond=None)[0][0])
    assert 0 < expected < 1
    assert np.isclose(float(mixture.share(images)), expected, rtol=1e-4)
    assert torch.allclose(mixture(images), guides + expected * (images - guides), atol=1e-5)


def test_pixels_that_a_member_has_seen_do_not_count():
    clean = draw(0)[0]
    problem = Problem(clean, torch.ones(SHAPE))
    members, guides, images = held_out(problem), clean + draw(1), clean + draw(2)
    mixture = Mixture(problem, Guides(guides.mean(0), guides), members, None)
    other = torch.where(members.watched, images, 100.0)
    assert torch.equal(mixture.share(images), mixture.share(other))


def test_the_share_lies_within_the_two():
    clean = draw(0)[0]
    problem = Problem(clean, torch.ones(SHAPE))
    members, worse = held_out(problem), clean + draw(1)
    exact = clean.expand(2, *SHAPE)
    assert float(Mixture(problem, Guides(clean, exact), members, None).share(worse)) < 1e-6
    assert float(Mixture(problem, Guides(worse.mean(0), worse), members, None).share(exact)) == 1
    beyond = 2 * clean - worse  # a step of two would be best
    assert float(Mixture(problem, Guides(worse.mean(0), worse), members, None).share(worse + (beyond - worse) / 4)) == 1


def test_a_share_can_be_given_and_has_a_usual_value_where_no_pixels_are_left_out():
    clean = draw(0)[0]
    problem = Problem(clean, torch.ones(SHAPE))
    guides = Guides(clean, clean + draw(1))
    assert Mixture(problem, guides, plain_members(problem, 2), None).share(draw(2)) == USUAL_SHARE
    assert Mixture(problem, guides, held_out(problem), 0.7).share(draw(2)) == 0.7


def test_what_the_members_guides_lack_is_added_to_the_mean_of_those_that_are_kept():
    clean, guides = draw(0)[0], draw(1)
    problem = Problem(clean, torch.ones(SHAPE))
    members = Members(guides, torch.ones(2, *SHAPE), (0, 1), (True, False))
    assert torch.equal(Mixture(problem, Guides(clean, guides), members, 0.0).correction, clean - guides[0])
