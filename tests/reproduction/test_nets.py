import json

import numpy as np
import pytest
import torch
from torch import nn

from napari_convgen.reproduction.nets import (
    ADAM,
    MOMENTUM,
    Fits,
    Net,
    Trace,
    convolutional,
    decoder,
    first_step_below,
    skip_network,
)
from napari_convgen.reproduction.study import Setting

CPU = torch.device("cpu")
TARGET = np.random.default_rng(0).random((2, 16, 12))
CLEAN = np.full((2, 16, 12), 0.4)
NETS = [decoder(8, 2), decoder(8, 2, extra_layer="first"), skip_network(6, 2, 0), convolutional("learned", 2, 4)]


def by_hand(net: Net, optimizer, n_steps):
    """Losses, errors and distances of a plain loop over the steps, in the library's own operations."""
    generator = net.build(TARGET.shape[1:], 2, 0, CPU)
    target, clean = (torch.tensor(x, dtype=torch.float32) for x in (TARGET, CLEAN))
    layers = [p for p in generator.parameters() if p.ndim > 2]
    starts = [p.detach().clone() for p in layers]
    losses, errors, distances = [], [], []
    for _ in range(n_steps):
        image = generator()[0]
        loss = nn.functional.mse_loss(image, target)
        losses.append(float(loss.detach()))
        errors.append(float(nn.functional.mse_loss(image.detach(), clean)))
        optimizer_of = optimizer(generator)
        optimizer_of.zero_grad()
        loss.backward()
        optimizer_of.step()
        distances.append([float((p - s).detach().norm() / s.norm()) for p, s in zip(layers, starts, strict=True)])
    return losses, errors, np.transpose(distances), generator


def once(make):
    """The same optimizer each time it is asked for."""
    made = {}
    return lambda generator: made.setdefault(id(generator), make(generator.parameters()))


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        (MOMENTUM, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        (ADAM, lambda p: torch.optim.Adam(p, lr=0.01)),
    ],
)
@pytest.mark.parametrize("net", NETS, ids=lambda net: getattr(net.settings, "extra_layer", net.settings.kind))
def test_a_fit_is_a_plain_loop_over_the_steps(net, settings, make):
    losses, errors, distances, generator = by_hand(net, once(make), 12)
    trace = Fits(Setting(False, CPU), 1)("", net, TARGET, settings, 12, clean=CLEAN)
    assert list(trace.steps) == list(range(1, 13))
    np.testing.assert_allclose(trace.losses, losses, rtol=1e-3)
    np.testing.assert_allclose(trace.errors, errors, rtol=1e-3)
    np.testing.assert_allclose(trace.distances, distances, rtol=2e-2)
    last = generator()[0].detach().numpy()
    np.testing.assert_allclose(trace.last, last, atol=0.01)
    assert trace.final_error == pytest.approx(np.mean((last - CLEAN) ** 2), rel=1e-2)


def test_the_best_image_is_that_of_the_step_with_the_least_error():
    trace = Fits(Setting(False, CPU), 1)("", decoder(16, 1), TARGET, ADAM, 60, clean=CLEAN)
    assert 1 < trace.best_step < 60
    assert np.mean((trace.best - CLEAN) ** 2) == pytest.approx(min(trace.errors), rel=1e-2)
    assert trace.final_error > 1.2 * min(trace.errors)


def test_half_the_loss_is_looked_for_in_every_step():
    trace = Fits(Setting(False, CPU), 1)("", decoder(16, 1), CLEAN, MOMENTUM, 60)
    assert trace.half_step == first_step_below(trace, trace.losses[0] / 2) < 20
    never = Fits(Setting(False, CPU), 1)("", decoder(2, 2), TARGET, MOMENTUM, 5)
    assert never.half_step is None


def test_without_a_clean_image_the_last_one_is_the_best():
    trace = Fits(Setting(False, CPU), 1)("", decoder(4, 2), TARGET, ADAM, 3)
    assert not trace.errors
    assert np.isnan(trace.final_error)
    assert np.array_equal(trace.best, trace.last)


def test_a_fit_that_was_kept_is_not_made_again_and_survives_as_text():
    kept, made = {}, []

    def keep(key, compute):
        text = json.dumps(key, sort_keys=True)
        if text not in kept:
            made.append(key)
            kept[text] = json.dumps(compute())
        return json.loads(kept[text])

    fits = Fits(Setting(False, CPU, keep=keep), 2)
    one, same = (fits("", decoder(4, 2), TARGET, ADAM, 3, clean=CLEAN) for _ in range(2))
    assert len(made) == 1
    assert one.losses == same.losses
    assert np.array_equal(one.last, same.last)
    for changes in ({"seed": 1}, {"clean": TARGET}, {"clean": None}):
        fits("", decoder(4, 2), TARGET, ADAM, 3, **{"clean": CLEAN} | changes)
    fits("", decoder(5, 2), TARGET, ADAM, 3, clean=CLEAN)
    fits("", decoder(4, 2), CLEAN, ADAM, 3, clean=CLEAN)
    fits("", decoder(4, 2), TARGET, MOMENTUM, 3, clean=CLEAN)
    fits("", decoder(4, 2), TARGET, ADAM, 4, clean=CLEAN)
    assert len(made) == 8


def test_the_share_that_is_done_grows_to_one():
    shares = []
    fits = Fits(Setting(False, CPU, report_progress=lambda what, share=None: shares.append(share)), 2)
    for seed in range(2):
        fits("", decoder(4, 2), TARGET, ADAM, 3, seed=seed)
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])


def test_the_first_step_below_a_loss_is_none_if_there_is_none():
    trace = Trace([1, 5, 9], [0.5, 0.2, 0.1], [], [], None, CLEAN, CLEAN, 0.0)
    assert first_step_below(trace, 0.2) == 5
    assert first_step_below(trace, 0.05) is None
