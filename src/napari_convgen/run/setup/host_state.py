"""What the host program has set in PyTorch and NumPy is kept from a run, and left as it was found.

A host may work in double precision, without gradients, with autocast, or with errors instead of warnings; other plugins of the same
program may have set that. A run computes the same in any of them. `with_isolation` keeps these settings away from each advance of a run,
and puts them back while the run is paused; `isolated` does so for anything else that a run computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from napari_convgen.core.cpu.threads import is_forked

T = TypeVar("T")


@dataclass(frozen=True)
class _Setting:
    """A setting of the whole process.

    Attributes
    ----------
    get, set
        Functions that read and change it.
    default
        PyTorch's own value, which a run uses.
    """

    get: Callable[[], Any]
    set: Callable[[Any], None]
    default: Any


def _get_matmul_precision() -> str:
    """Return the precision of matrix products; the default where it was set for each backend alone, and is left to them."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # PyTorch 2.9 and later has a second way to set it, and refuses to read a mixture of both
        return "highest"


def _set_anomaly_detection(is_on: bool) -> None:
    torch.set_anomaly_enabled(is_on, torch.is_anomaly_check_nan_enabled())


_SETTINGS = (
    _Setting(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    _Setting(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0),
    _Setting(torch.is_anomaly_enabled, _set_anomaly_detection, False),
    _Setting(_get_matmul_precision, torch.set_float32_matmul_precision, "highest"),
)

_AUTOCAST_DEVICES = tuple(kind for kind in ("cpu", "cuda", "mps") if torch.amp.is_autocast_available(kind))


class _ProcessSettings:
    """The settings of the whole process, which runs in several threads share: the last to leave puts back what was found."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._found: dict[_Setting, Any] = {}

    def __enter__(self) -> None:
        with self._lock:
            self._n_inside += 1
            for setting in _SETTINGS:
                if (value := setting.get()) != setting.default:
                    self._found[setting] = value
                    setting.set(setting.default)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                for setting, value in self._found.items():
                    setting.set(value)
                self._found.clear()


_process_settings = _ProcessSettings()


@contextmanager
def isolated(n_threads: int | None = None) -> Iterator[None]:
    """Compute as if the host program had set nothing, and leave all it has set as it was. Also a decorator of functions.

    That concerns inference mode, gradients, autocast, the default dtype and device, deterministic algorithms, anomaly detection, the
    precision of matrix products, NumPy's floating-point errors, and the number of threads. Global sources of random numbers need no
    such care: nothing draws from them.

    Parameters
    ----------
    n_threads
        Number of PyTorch's threads on the CPU meanwhile; the host's if ``None``, but one in a process made by ``fork``.
    """
    n_threads_before = torch.get_num_threads()
    if n_threads is None and is_forked():
        n_threads = 1
    autocast_devices = [kind for kind in _AUTOCAST_DEVICES if torch.is_autocast_enabled(kind)]
    # A default device is a mode of PyTorch's functions, as others that a host may have entered. All of them are passed by.
    with (
        _process_settings,
        np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"),
        torch.inference_mode(False),
        torch._C.DisableTorchFunction(),
    ):
        try:
            for kind in autocast_devices:
                torch.set_autocast_enabled(kind, False)
            if n_threads is not None and n_threads != n_threads_before:
                torch.set_num_threads(n_threads)
            yield
        finally:
            if torch.get_num_threads() != n_threads_before:
                torch.set_num_threads(n_threads_before)
            for kind in autocast_devices:
                torch.set_autocast_enabled(kind, True)


def with_isolation(steps: Iterator[T], n_threads: int | None = None) -> Iterator[T]:
    """Take each step `isolated`, on a number of threads; between two steps all is as the host has set it.

    Parameters
    ----------
    steps
        Iterator whose every advance is isolated. It is not closed, and can be taken up again.
    n_threads
        Number of PyTorch's threads on the CPU during a step; the host's if ``None``.
    """
    while True:
        try:
            with isolated(n_threads):
                step = next(steps)
        except StopIteration:
            return
        yield step
