"""Sizes, durations, devices and methods as text, the same in the window, the command line and Python. Importing this loads no torch."""

from __future__ import annotations

import math

from napari_convgen.core import baselines


def format_bytes(n_bytes: float) -> str:
    """Return a number of bytes as text: ``"310 MiB"``, ``"2.5 GiB"``."""
    exponent = min(4, max(1, int(math.log2(max(n_bytes, 1)) // 10)))
    number = n_bytes / 1024**exponent
    return f"{number:.{1 if number < 10 else 0}f} {'KMGT'[exponent - 1]}iB"


def format_count(n: int, noun: str) -> str:
    """Return a number of things as text: ``"1 piece"``, ``"3 pieces"``."""
    return f"{n} {noun}{'s' * (n != 1)}"


def format_done(n_done: int, n: int, noun: str) -> str:
    """Return how many things are done as text: ``"1 of 1 piece is done"``, ``"2 of 3 pieces are done"``."""
    return f"{n_done} of {format_count(n, noun)} {'is' if n == 1 else 'are'} done"


def format_seconds(seconds: float) -> str:
    """Return a duration as text: ``"4.2 s"``, ``"3 min 20 s"``, ``"2 h 5 min"``."""
    seconds = round(seconds) if seconds >= 10 else round(seconds, 1)
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_each(seconds: float) -> str:
    """Return the duration of one of many steps as text: ``"40 ms"``, ``"4.7 s"``."""
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else format_seconds(seconds)


def format_time_left(seconds: float, bound: str = "about") -> str:
    """Return the time that is left as text: ``"about 4.2 s left"``; empty while it cannot be told.

    Parameters
    ----------
    seconds
        Seconds that are left; infinite while they cannot be told.
    bound
        Word before them: ``"about"``, the default, or ``"at most"`` where a run may end early.
    """
    return f"{bound} {format_seconds(seconds)} left" if math.isfinite(seconds) else ""


def format_place(device: str, backend: str, n_threads: int) -> str:
    """Return device, backend and threads of a computation as text: ``"cpu (numba, 2 threads)"``."""
    threads = f", {n_threads} thread{'s' * (n_threads != 1)}" if device == "cpu" else ""
    return f"{device} ({backend}{threads})"


BASELINES = {name: baseline.title for name, baseline in baselines.BASELINES.items()}
"""Titles of the classical denoisers that a comparison offers, by name: those of `napari_convgen.core.baselines.BASELINES`."""

SHORT_BASELINES = {name: baseline.short_title for name, baseline in baselines.BASELINES.items()}
"""Short titles of the same denoisers, by name, for layers and checkboxes."""

OURS = "convgen"
"""Name of the generator among the methods of a comparison, short for the package; ``convgen:NAME`` is the generator with a preset."""


def format_method(name: str) -> str:
    """Return the title of a method of a comparison: ``"Non-local means"``, ``"convgen, preset quick"``."""
    own, _, preset = name.partition(":")
    return f"{own}, preset {preset}" if preset else BASELINES.get(name, name)


def format_share(share: float) -> str:
    """Return a share in percent, two digits at least where it is small: ``"0.35 %"``, ``"12 %"``."""
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.2g} %"


def describe_search(share: float) -> str:
    """Say that the instrument is being found from its measurement, and which share of that is done."""
    return f"Finding the phase and the aberrations: {format_share(share)}."


def describe_uncounted(has_search: bool) -> str:
    """Return the end of a forecast that leaves out the search for the instrument; nothing where there is no search."""
    return ", and finding the phase before, which is not counted" if has_search else ""
