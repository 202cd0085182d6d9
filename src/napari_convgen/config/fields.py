"""What a field of a model says of its setting: title, choices, range and default, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic.fields import FieldInfo

LARGEST_SHOWN = 1e15
"""Bounds from here on are left out of the words: they only keep numbers within a type."""


@dataclass(frozen=True)
class Numbers:
    """The numbers that a setting can be.

    Attributes
    ----------
    is_whole
        True for whole numbers.
    low, high
        Bounds; infinite if there is none.
    excludes_low, excludes_high
        True if the bound itself is not allowed.
    factor
        Number that the values are multiples of.
    """

    is_whole: bool
    low: float = -math.inf
    high: float = math.inf
    excludes_low: bool = False
    excludes_high: bool = False
    factor: float = 1

    @classmethod
    def of(cls, field: FieldInfo) -> Self | None:
        """Return the numbers that a field's setting can be, beside ``"auto"``; ``None`` if it is no number."""
        number, constraints = field.annotation, list(field.metadata)
        for part in get_args(field.annotation):
            if part in (int, float) or get_args(part)[:1] in ((int,), (float,)):
                number, *constraints = get_args(part) or (part,)
        if number not in (int, float):
            return None
        bounds: dict[str, Any] = {}
        for each in constraints:
            match each:
                case Ge():
                    bounds["low"] = each.ge
                case Gt():
                    bounds |= {"low": each.gt, "excludes_low": True}
                case Le():
                    bounds["high"] = each.le
                case Lt():
                    bounds |= {"high": each.lt, "excludes_high": True}
                case MultipleOf():
                    bounds["factor"] = each.multiple_of
        return cls(number is int, **bounds)

    @property
    def last(self) -> float:
        """The largest whole number that is allowed; infinite if there is none."""
        return self.high - 1 if self.excludes_high else self.high

    def __str__(self) -> str:
        """Say it in words: ``"a whole number from 1"``."""
        words = "a whole number" if self.is_whole else "a number"
        if self.factor != 1:
            words = f"a multiple of {self.factor:g}"
        if self.low > -math.inf:
            words += f" {'above' if self.excludes_low else 'from'} {self.low:g}"
        if self.high < LARGEST_SHOWN:
            joint = "and below" if self.excludes_high else "up to" if self.excludes_low else "to"
            words += f" {joint} {_plain(self.high)}"
        return words


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """Return the words that a setting can be; none if it can be a number or any text."""
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def words_beside(field: FieldInfo) -> tuple[str, ...]:
    """Return the words that a setting can be instead of a number, such as ``"auto"``."""
    literals = [part for part in get_args(field.annotation) if get_origin(part) is Literal]
    return tuple(word for part in literals for word in get_args(part))


def title_of(name: str, field: FieldInfo) -> str:
    """Return a short name of a setting for a form."""
    return field.title or name.rpartition(".")[2].replace("_", " ").capitalize()


def describe(field: FieldInfo) -> str:
    """Return what a setting is, the range of its values, and its default, in one line."""
    parts = (field.description or "", allowed_values(field), f"Default: {_plain(field.default)}.")
    return " ".join(part for part in parts if part)


def allowed_values(field: FieldInfo) -> str:
    """Return the range of a setting's values as a sentence; nothing where the description names the choices."""
    numbers, choices = Numbers.of(field), choices_of(field)
    if numbers is not None:
        beside = "".join(f"{word}, " for word in words_beside(field))
        words = f"{beside}or {numbers}" if beside else str(numbers)
        return f"{words[0].upper()}{words[1:]}."
    is_named = all(choice in (field.description or "") for choice in choices)
    return "" if is_named else f"One of {', '.join(choices)}."


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else f"{value}"
