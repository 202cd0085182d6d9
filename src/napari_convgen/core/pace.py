"""Computations that pause after each product, so that the caller can show progress or stop."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Paced = Generator[None, None, T]
"""A generator that pauses after each product with a map and returns a value: ``value = yield from paced``."""


def finish(computation: Paced[T]) -> T:
    """Run a computation to its end; return its value."""
    while True:
        try:
            next(computation)
        except StopIteration as end:
            value: T = end.value
            return value
