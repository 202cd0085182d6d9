"""Steps that a GPU replays without Python: a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

N_WARM_UP = 3
"""Steps taken one operation at a time before one is captured; kernels are compiled and state is made in them."""

Step = Callable[[], tuple[Tensor, ...]]


class CapturedStep:
    """A function without arguments on a CUDA device, called again and again.

    From its fourth call on it is one launch: the operations are replayed on the memory of the capture, and the tensors
    that it returns are those of the call before, with new values in them.

    Parameters
    ----------
    step
        Moves state in place, and returns tensors. It must neither wait for the device nor copy from the host.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._stream = torch.cuda.Stream()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._results: tuple[Tensor, ...] = ()
        self._n_calls = 0
        self._can_capture = True

    def __call__(self) -> tuple[Tensor, ...]:
        """Take a step."""
        self._n_calls += 1
        if self._graph is None and self._can_capture and self._n_calls > N_WARM_UP:
            self._capture()
        if self._graph is None:
            return self._take_eagerly()
        self._graph.replay()
        return self._results

    def _take_eagerly(self) -> tuple[Tensor, ...]:
        # On the stream of the capture, so that nothing that autograd or the libraries set up belongs to another one.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            results = self._step()
        torch.cuda.current_stream().wait_stream(self._stream)
        return results

    def _capture(self) -> None:
        """Record a step without taking it."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._results = self._step()
        except RuntimeError as error:
            self._can_capture = False
            warnings.warn(f"Steps cannot be captured as a CUDA graph and are slower: {error}", stacklevel=2)
            return
        self._graph = graph
