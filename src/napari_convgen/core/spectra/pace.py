"""Computations that pause after each product, so that whoever drives them can tell how far they are, or leave them."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Paced = Generator[None, None, T]
"""Pauses after each product with a map; its value is what it returns: ``value = yield from paced``."""


def finish(computation: Paced[T]) -> T:
    """Go through a computation without a pause; return its value."""
    while True:
        try:
            next(computation)
        except StopIteration as end:
            value: T = end.value
            return value
