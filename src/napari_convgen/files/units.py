"""Names and symbols of units: files say either."""

from __future__ import annotations

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


def symbol_of(unit: str) -> str:
    """Return the symbol of a unit, or the unit itself if it is not known."""
    return SYMBOLS.get(unit.lower(), OTHERS.get(unit, unit))


def name_of(unit: str) -> str | None:
    """Return the name of a unit for OME-Zarr; ``None`` if it is not known."""
    symbol = symbol_of(unit)
    return next((name for name, each in SYMBOLS.items() if each == symbol), None)
