"""How the kernels on the CPU are compiled, by Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any], inline: str = "never") -> Any:
    """Compile a function to machine code, which is kept for the next time, to be run without holding the interpreter up."""
    # Sums may be reordered, but a diverging fit must show its NaN and infinities.
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": {"reassoc", "contract", "nsz", "arcp"},
        "error_model": "numpy",
        "inline": inline,
    }
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep the compiled code in
        return numba.njit(**options)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function for a pixel: a call counts references to its arrays, which takes as long as part of the pixel's work."""
    return compiled(function, "always")
