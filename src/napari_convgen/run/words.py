"""Sizes, durations and places in words, for every end of the program. Nothing here loads torch."""

from __future__ import annotations

import math


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
