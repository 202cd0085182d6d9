"""A toy problem: an image that was measured upside down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from napari_convgen.config import operators_of
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.run.reconstruct.problems.base import Given, InverseProblem


class ToyProblem(InverseProblem):
    """Turn an image over."""

    operators = operators_of("inpaint")
    inputs: ClassVar[Mapping[str, str]] = {"axis": "axis that is upside down"}

    def __init__(self, given: Given, *, axis: int = 0) -> None:
        def operator(shape: Sequence[int]) -> LinearMap:
            def turn(x):
                return x.flip(1 + axis)

            return LinearMap(turn, tuple(shape), tuple(shape), turn)

        super().__init__(given.prepare(operator=operator))
