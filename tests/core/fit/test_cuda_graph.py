import contextlib
import warnings

import pytest
import torch

from napari_convgen.core.fit.cuda_graph import N_WARM_UP, CapturedStep


class Device:
    """A stand-in for a GPU: under capture a step is recorded, not taken; a replay takes it."""

    def __init__(self, monkeypatch, error=None):
        self.recorded = None
        self.error = error
        device = self

        class Graph:
            def replay(self):
                device.taken.append("replayed")

        class Stream:
            def wait_stream(self, other):
                pass

        @contextlib.contextmanager
        def graph(recording, stream, capture_error_mode):
            n = len(device.taken)
            yield
            if device.error is not None:
                raise device.error
            del device.taken[n:]

        self.taken = []
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", graph)

    def step(self):
        self.taken.append("taken")
        return (torch.zeros(()),)


def test_every_call_takes_one_step_and_from_the_fourth_on_it_is_replayed(monkeypatch):
    device = Device(monkeypatch)
    step = CapturedStep(device.step)
    for _ in range(6):
        step()
    assert device.taken == ["taken"] * N_WARM_UP + ["replayed"] * (6 - N_WARM_UP)


def test_a_step_that_cannot_be_captured_is_taken_all_the_same_with_one_warning(monkeypatch):
    device = Device(monkeypatch, error=RuntimeError("operation not permitted when stream is capturing"))
    step = CapturedStep(device.step)
    for _ in range(N_WARM_UP):
        step()
    with pytest.warns(UserWarning, match="are slower: operation not permitted"):
        step()
    device.taken.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step()
    assert device.taken == ["taken"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_replayed_steps_are_those_taken_one_by_one():
    def start():
        torch.manual_seed(0)
        weights = torch.randn(64, 64, device="cuda", requires_grad=True)
        optimizer = torch.optim.Adam([weights], lr=0.01, fused=True, capturable=True)
        target = torch.randn(64, 64, device="cuda")

        def step():
            loss = ((weights @ weights - target) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return (loss.detach(),)

        return weights, step

    (eager, step), (replayed, captured) = start(), start()
    graphed = CapturedStep(captured)
    for _ in range(20):
        (one,), (other,) = step(), graphed()
        assert one.item() == other.item()
    torch.testing.assert_close(eager, replayed, rtol=0, atol=0)
    assert graphed._graph is not None
