"""A kernel's tasks, shared out among threads of our own: Numba's do not run beside others."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

Kernel = Callable[..., None]
"""Takes the number of its first task and the one after its last, then what all tasks share; does not hold the interpreter up."""

N_SHARES = 8
"""Shares of a pass for each thread: enough that none waits long for the others, few enough to be no work themselves."""

SMALL_PASS = 2**19
"""Values below which a pass is not worth handing to other threads."""


def share_out(kernel: Kernel, n_tasks: int, n_values: int, *shared: Any) -> None:
    """Run a kernel on as many threads as PyTorch is set to: they take one share of the tasks after another until none is left.

    Parameters
    ----------
    kernel
        Whose tasks do not depend on each other.
    n_tasks
        From 0.
    n_values
        That the kernel goes through, of all tasks together.
    shared
        What it takes after the range of its tasks.
    """
    n_threads = min(torch.get_num_threads(), n_tasks)
    if n_values <= SMALL_PASS or n_threads == 1:
        kernel(0, n_tasks, *shared)
        return
    n_each = math.ceil(n_tasks / (N_SHARES * n_threads))
    shares = itertools.count(0, n_each)

    def work() -> None:
        while (first := next(shares)) < n_tasks:
            kernel(first, min(first + n_each, n_tasks), *shared)

    helpers = [_pool(n_threads).submit(work) for _ in range(n_threads - 1)]
    work()
    for helper in helpers:
        helper.result()


@functools.cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return threads that work beside the calling one."""
    return ThreadPoolExecutor(n_threads - 1, "fused-block")
