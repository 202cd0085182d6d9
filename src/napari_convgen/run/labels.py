"""Sizes, durations and places in words, for every end of the program. Nothing here loads torch."""

from __future__ import annotations

import math

from napari_convgen.core import baselines


def format_bytes(n_bytes: float) -> str:
    """Return a size in words: ``"310 MiB"``, ``"2.5 GiB"``."""
    exponent = min(4, max(1, int(math.log2(max(n_bytes, 1)) // 10)))
    number = n_bytes / 1024**exponent
    return f"{number:.{1 if number < 10 else 0}f} {'KMGT'[exponent - 1]}iB"


def format_seconds(seconds: float) -> str:
    """Return a duration in words: ``"4.2 s"``, ``"3 min 20 s"``, ``"2 h 5 min"``."""
    seconds = round(seconds) if seconds >= 10 else round(seconds, 1)
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_place(device: str, backend: str, n_threads: int) -> str:
    """Say where and by what something is computed: ``"cpu (numba, 2 threads)"``."""
    threads = f", {n_threads} thread{'s' * (n_threads != 1)}" if device == "cpu" else ""
    return f"{device} ({backend}{threads})"


BASELINES = {name: baseline.title for name, baseline in baselines.BASELINES.items()}
"""Classical denoisers that `napari_convgen.run.compare.run` knows, with their titles."""

SHORT_BASELINES = {name: baseline.short_title for name, baseline in baselines.BASELINES.items()}
"""The same denoisers, with short titles for layers and checkboxes."""

OURS = "convgen"
"""The generator among the methods of a comparison; ``convgen:NAME`` is that with a preset."""


def format_method(name: str) -> str:
    """Return the title of a method of a comparison: ``"Non-local means"``, ``"convgen, preset best"``."""
    own, _, preset = name.partition(":")
    return f"{own}, preset {preset}" if preset else BASELINES.get(name, name)
