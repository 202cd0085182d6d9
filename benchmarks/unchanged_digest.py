"""Digests of the results that unchanged.py compares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

N_DIGITS = 16
"""Number of hexadecimal digits of a digest that are kept. Chosen so that an accidental match is out of the question (64 bits)."""

UNTIMELY = ("seconds", "seconds_per_step", "versions", "config")
"""Entries of a report that are not compared, because they depend on time or repeat the request."""


def digest(value: Any) -> str:
    """Return the first digits of the SHA-256 of a value: of the type, shape and bytes of an array, and of all digits of a number."""
    state = hashlib.sha256()
    _feed(state, value)
    return state.hexdigest()[:N_DIGITS]


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        state.update(f"array {value.dtype.str} {value.shape} ".encode())
        if value.dtype.kind == "f":
            value = np.where(np.isnan(value), np.array(np.nan, value.dtype), value)
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        state.update(f"mapping {len(value)} ".encode())
        for key in sorted(value, key=repr):
            _feed(state, key)
            _feed(state, value[key])
    elif isinstance(value, (list, tuple)):
        state.update(f"list {len(value)} ".encode())
        for each in value:
            _feed(state, each)
    elif isinstance(value, bytes):
        state.update(f"bytes {len(value)} ".encode() + value)
    elif value is None or isinstance(value, (bool, int, float, str)):
        state.update(f"{type(value).__name__} {value!r} ".encode())
    else:
        raise TypeError(f"A {type(value).__name__} has no digest.")


def without_untimely(value: Any) -> Any:
    """Return a report without the entries `UNTIMELY`."""
    if isinstance(value, Mapping):
        return {key: without_untimely(each) for key, each in value.items() if key not in UNTIMELY}
    return [without_untimely(each) for each in value] if isinstance(value, (list, tuple)) else value
