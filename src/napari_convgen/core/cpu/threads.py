"""The tasks of a kernel, distributed over threads of our own, since those of Numba cannot run beside other threads."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import torch

Kernel = Callable[..., None]
"""A function of the first task, the task after the last, and arguments common to all tasks; it releases the interpreter lock."""

N_SHARES = 8
"""Number of shares of a pass for each thread: enough to balance the load, few enough to cost no time."""

_LOADED_IN = os.getpid()

SMALL_PASS = 2**19
"""Largest number of values for which a pass runs on one thread: distributing such a small pass takes longer than computing it."""


def share_out(kernel: Kernel, n_tasks: int, n_values: int, *shared: Any, n_threads: int | None = None) -> None:
    """Run a kernel on several threads; each takes one share of the tasks after another.

    Parameters
    ----------
    kernel
        Function whose tasks do not depend on each other.
    n_tasks
        Number of tasks, 0 or more.
    n_values
        Number of values that all tasks together process.
    shared
        Arguments of the kernel after the range of its tasks.
    n_threads
        Number of threads; that of PyTorch if ``None``, the default.
    """
    n_threads = min(n_threads or torch.get_num_threads(), n_tasks)
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


def share_out_tasks(work: Callable[[int], None], n_tasks: int, n_threads: int) -> None:
    """Do tasks of PyTorch on several threads, each of which computes alone; see `alone`.

    Parameters
    ----------
    work
        Function of the number of a task, from 0.
    n_tasks
        Number of tasks, 0 or more.
    n_threads
        Number of threads, 1 or more.
    """
    n_threads = min(n_threads, n_tasks)

    def go_through(thread: int) -> None:
        with alone():
            for task in range(thread, n_tasks, n_threads):
                work(task)

    helpers = [_pool(n_threads).submit(go_through, thread) for thread in range(1, n_threads)]
    try:
        if n_tasks:
            go_through(0)
        for helper in helpers:
            helper.result()
    finally:
        wait(helpers)


def for_each_member(work: Callable[[int], None], n_members: int, device: torch.device) -> None:
    """Compute something for each member of a generator; on the CPU several at a time, each on a single thread.

    Small images and crops hardly gain by more threads, while the members do not depend on each other.

    Parameters
    ----------
    work
        Function of the number of a member. It sets what PyTorch keeps for each thread, such as whether gradients are recorded.
    n_members
        Number of members.
    device
        Device that computes.
    """
    if device.type == "cpu":
        share_out_tasks(work, n_members, torch.get_num_threads())
        return
    for member in range(n_members):
        work(member)


@contextlib.contextmanager
def alone() -> Iterator[int]:
    """Let PyTorch compute on the calling thread alone; the value is the number of threads that it was set to.

    PyTorch's own threads wait for each other after each operation, and for the next. Many small operations take longer with them,
    and many times as long where other programs want their cores.
    """
    n_before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n_before
    finally:
        torch.set_num_threads(n_before)


def is_forked() -> bool:
    """Return True in a process that was forked from the one that loaded this module: threads, those of PyTorch too, do not come along."""
    return os.getpid() != _LOADED_IN


def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return threads of this process that work beside the calling one."""
    return _pool_of(os.getpid(), n_threads)


@functools.cache
def _pool_of(process: int, n_threads: int) -> ThreadPoolExecutor:
    """Return the threads of a process; one that was forked gets others, as waiting for those of its parent would have no end."""
    return ThreadPoolExecutor(n_threads - 1, "convgen-kernels")
