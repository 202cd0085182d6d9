"""Computations that pause, so that the caller can show progress or stop."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")

Paced = Generator[None, None, T]
"""A generator that pauses after each product with a map, for example, and returns a value: ``value = yield from paced``."""


def finish(computation: Generator[Any, None, T]) -> T:
    """Run a computation to its end; return its value."""
    while True:
        try:
            next(computation)
        except StopIteration as end:
            value: T = end.value
            return value
