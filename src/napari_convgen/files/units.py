"""Names and symbols of units: files say either."""

from __future__ import annotations

from napari_convgen.core.image.lengths import micrometers

SYMBOLS = {
    "angstrom": "Å",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "nanosecond": "ns",
    "microsecond": "µs",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
}
"""Symbol of each unit, by the name that OME-Zarr has for it."""

OTHERS = {"um": "µm", "\u03bcm": "µm", "micron": "µm", "sec": "s", "A": "Å"}
"""Other ways to write a symbol, among them the Greek letter."""


TIMES = ("ns", "µs", "ms", "s", "min", "h")
"""Symbols of the units of time."""


def symbol_of(unit: str) -> str:
    """Return the symbol of a unit, or the unit itself if it is not known."""
    singular = unit.removesuffix("s")
    return SYMBOLS.get(singular.lower(), OTHERS.get(unit, OTHERS.get(singular, unit)))


def in_unit(distance: float, unit: str, other: str) -> float:
    """Return a distance in another unit; ``nan`` if it cannot be converted."""
    if symbol_of(unit) == symbol_of(other):
        return distance
    return distance * micrometers(symbol_of(unit)) / micrometers(symbol_of(other))


def name_of(unit: str) -> str | None:
    """Return the name of a unit for OME-Zarr; ``None`` if it is not known."""
    symbol = symbol_of(unit)
    return next((name for name, each in SYMBOLS.items() if each == symbol), None)
