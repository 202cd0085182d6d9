"""Digests of the results that unchanged.py compares, with texts in the wording in which they were first recorded."""

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

EARLIER_WORDING = {
    "noise correlation length": "alike within",  # prose: allow
    "predicted (SURE)": "foreseen (SURE)",  # prose: allow
    "Predicted error": "Error foreseen",  # prose: allow
    "Predicted gradient descent": "Gradient descent foreseen",  # prose: allow
    "Predicted degrees of freedom": "Degrees of freedom foreseen",  # prose: allow
    "is_last_predicted": "is_last_foreseen",  # prose: allow
    "values that the image reproduces": "values that the image follows",
    "Fitted in each step": "Drawn in each step",
    "signal not fitted": "signal not drawn",
    "noise fitted": "noise drawn",
    "The error is lowest at the first predicted step": "The error is least at the first step foreseen",  # prose: allow
    "The error is lowest at the last predicted step": "The error is least at the last step foreseen",  # prose: allow
    "Shown step: error": "Shown: error",
    "The noise of neighboring pixels is correlated, which the prediction does not account for": (
        "The noise of neighboring pixels is alike, which the estimate does not know of"  # prose: allow
    ),
    "Lowest bound at any step": "Least bound at any step",
    "predicted error at the best step": "foreseen at the best step",  # prose: allow
    "The bound is never below 1": "Never below 1",
    "The bound falls below 1": "Below 1",
}
"""Current wordings, each with the one that was first recorded, so that a new wording is not reported as a difference."""


def in_earlier_wording(value: Any) -> str:
    """Return a value as text, in the wording in which it was first recorded."""
    text = str(value)
    for word, earlier in EARLIER_WORDING.items():
        text = text.replace(word, earlier)
    return text


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
    """Return a report without the entries `UNTIMELY`, in the wording and the form in which it was first recorded.

    In this form each model of the noise has a gain and an offset, which are 0 if its kind has none.
    """
    if isinstance(value, Mapping):
        if "clipped_low" in value:
            value = dict.fromkeys(("gain", "offset"), [0.0] * len(value["sigma"])) | dict(value)
        return {without_untimely(key): without_untimely(v) for key, v in value.items() if key not in UNTIMELY}
    if isinstance(value, (list, tuple)):
        return [without_untimely(v) for v in value]
    return in_earlier_wording(value) if isinstance(value, str) else value
