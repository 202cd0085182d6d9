"""Lengths in the units of layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def unit_factors(units: Sequence[Any], others: Sequence[Any]) -> NDArray[np.float64]:
    """Return the size of units in others, along the last axes that have both; 1 where they measure different things.

    Parameters
    ----------
    units, others
        Units of the axes of two layers.
    """
    n = min(len(units), len(others))
    pairs = zip(units[len(units) - n :], others[len(others) - n :], strict=True)
    return np.array([float((1 * a).to(b).magnitude) if a.is_compatible_with(b) else 1.0 for a, b in pairs])


def format_lengths(lengths: Iterable[float], units: Iterable[Any]) -> str:
    """Return lengths along axes as text, once if they are all the same: ``"0.11 µm"``, ``"0.3 × 0.11 × 0.11 µm"``."""
    return join_lengths(lengths, [symbol_of_unit(unit) for unit in units])


def join_lengths(lengths: Iterable[float], names: Sequence[str]) -> str:
    """Do the same with names of units."""
    numbers = [f"{length:.3g}" for length in lengths]
    if len(set(names)) > 1:
        return " × ".join(f"{number} {name}" for number, name in zip(numbers, names, strict=True))
    return f"{' × '.join(numbers if len(set(numbers)) > 1 else numbers[:1])} {names[0]}"


def symbol_of_unit(unit: Any) -> str:
    """Return the symbol of a unit; of a micron pint has an old one, µ."""
    symbol = f"{unit:~P}"
    return "µm" if symbol in ("µ", "micron") else symbol
