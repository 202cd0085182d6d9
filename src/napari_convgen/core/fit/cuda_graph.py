"""Steps that a GPU replays as a CUDA graph, without calling each operation from Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

N_WARM_UP = 3
"""Number of steps that are computed one operation at a time before one is captured.

Kernels are compiled and the optimizer's state is made in them. Three is the number in PyTorch's notes on CUDA graphs."""

Step = Callable[[], tuple[Tensor, ...]]
"""Function that changes state in place and returns tensors."""


class CapturedStep:
    """A step on a CUDA device that is called many times.

    After `N_WARM_UP` calls the step is captured. From then on a call is a single launch, which replays the operations on the memory of the
    capture: the returned tensors are the same objects at each call, with new values.

    Parameters
    ----------
    step
        Function that changes state in place and returns tensors. It must neither wait for the device nor copy from the host.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._stream = torch.cuda.Stream()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._results: tuple[Tensor, ...] = ()
        self._n_calls = 0
        self._can_capture = True

    def __call__(self) -> tuple[Tensor, ...]:
        """Take a step and return its tensors."""
        self._n_calls += 1
        if self._graph is None and self._can_capture and self._n_calls > N_WARM_UP:
            self._capture()
        if self._graph is None:
            return self._take_eagerly()
        self._graph.replay()
        return self._results

    def _take_eagerly(self) -> tuple[Tensor, ...]:
        # The stream is that of the capture, so that all that autograd and the libraries set up belongs to it.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            results = self._step()
        torch.cuda.current_stream().wait_stream(self._stream)
        return results

    def _capture(self) -> None:
        """Record the operations of a step without computing them."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._results = self._step()
        except RuntimeError as error:
            self._can_capture = False
            warnings.warn(f"Steps cannot be captured as a CUDA graph and are slower: {error}", stacklevel=2)
            return
        self._graph = graph
