"""Starts of a stack's fits at the networks of the frames before."""

from __future__ import annotations

from napari_convgen.config import Config
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.fit.states import FitState
from napari_convgen.errors import ConfigError
from napari_convgen.run.setup.groups import has_neighbors, neighbor_axis
from napari_convgen.run.setup.prepared import Prepared

LEAST_PATIENCE = 100
"""Least number of steps that a rule must wait: with less, a fit can end at its first step, with the noise of the frame before in its image
(correlation 0.26 in a time lapse without motion)."""

CHAIN = 16
"""Number of frames of a chain with ``"auto"``. Our choice: where a frame takes a third of the steps, they are an eighth more than without
an end, and a stack of a hundred frames keeps several workers busy."""

PREVIOUS_NOTE = "Each frame's network started from that of the frame before (frames.start)."
"""Note on a stack that is fitted so."""


class PreviousStarts:
    """The ends of a stack's fits, each of which the next frame's fit begins at. With tiles, they are those of the same tile.

    Parameters
    ----------
    prepared
        The checked input.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._axis, n_frames = neighbor_axis(prepared.layout, prepared.image.shape)
        self._distance = n_frames * prepared.n_tiles
        self._chain = chain_of(prepared.config)
        self._ends: dict[int, tuple[int, FitState]] = {}

    def begin(self, fit: Fit, number: int, seed: int) -> None:
        """Let a frame's fit begin where that of the frame before has ended, if it is of the same chain and seed, and its image helps."""
        place: int = self._prepared.pieces[number].index[self._axis]  # type: ignore[assignment]
        before = self._ends.pop(number - self._distance, None)
        if place % self._chain and before is not None and before[0] == seed:
            fit.begin_at(before[1])

    def end(self, fit: Fit, number: int, seed: int) -> None:
        """Remember where a frame's fit has ended, which cannot go on afterwards; older ends are let go."""
        self._ends[number] = seed, fit.end_at_kept()
        self._ends = {each: end for each, end in self._ends.items() if each > number - self._distance}


def chain_of(config: Config) -> int:
    """Return the number of frames of a chain."""
    return CHAIN if config.frames.chain == "auto" else config.frames.chain


def previous_starts(prepared: Prepared) -> PreviousStarts | None:
    """Return the starts of a stack's fits at the frames before; ``None`` if each starts afresh.

    Raises
    ------
    ConfigError
        The configuration demands it, and it would do harm.
    """
    check_start(prepared.config)
    return PreviousStarts(prepared) if prepared.config.frames.start == "previous" and has_neighbors(prepared) else None


def check_start(config: Config) -> None:
    """Refuse fits that start from the frame before where that would do harm.

    Raises
    ------
    ConfigError
        The generator has a guide, or the rule does not wait long enough.
    """
    if config.frames.start == "fresh":
        return
    if config.generator.has_guide:
        raise ConfigError(
            "frames.start = 'previous' is for networks that are fitted to the frames alone, and here a guide is mixed with them. "
            "Choose frames.start = 'fresh', or the preset 'deep-decoder' or 'guided-network'."
        )
    patience = config.stopping.min_patience if config.has("stopping.min_patience") else None  # type: ignore[union-attr]
    if patience is None or patience < LEAST_PATIENCE:
        got = f"stopping.kind = '{config.stopping.kind}'" if patience is None else f"stopping.min_patience = {patience}"
        raise ConfigError(
            f"frames.start = 'previous' needs a stopping rule that waits for {LEAST_PATIENCE} steps at least, got {got}. "
            f"Choose stopping.kind = 'auto' with stopping.min_patience = {LEAST_PATIENCE}, or frames.start = 'fresh'."
        )
