"""The state of a denoising while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_convgen.core.snapshot import Snapshot
from napari_convgen.run.labels import describe_search, format_each, format_share
from napari_convgen.run.task import Progress

N_TIMED, LEAST_SHARE = 3, 0.05
"""Steps, or share of the work, after which the time that is left can be told: the first ones load and compile what the others use. Our
choice, no benchmark."""


@dataclass(frozen=True)
class GroupPlace:
    """Place of a frame in a group whose guides are made together, as the first of them has its turn.

    Attributes
    ----------
    place, n_frames
        Place of the frame, from 0, and number of frames.
    n_first_steps
        Steps at most of the first frame; those of each other take about as long as one of them.
    """

    place: int
    n_frames: int
    n_first_steps: int

    def share(self, guide_share: float, guide_steps: float, step_share: float) -> float:
        """Return the share of the work on the group that is done, with the shares of its guides and of this frame's steps."""
        guides = guide_steps * self.n_frames
        before = self.n_first_steps + self.place - 1 if self.place else 0
        own = step_share if self.place else step_share * self.n_first_steps
        return (guides * guide_share + before + own) / (guides + self.n_first_steps + self.n_frames - 1)


@dataclass(frozen=True, kw_only=True)
class DenoiseProgress(Progress):
    """The state of a denoising.

    Attributes
    ----------
    frame, n_frames
        Number of the frame, from 0, and of all frames.
    tile, n_tiles
        Number of the frame's tile, from 0, and of all its tiles; by default it is whole.
    n_before
        Number of frames or tiles that had their turn before this one, default 0.
    step, n_steps
        Step of this fit, from 1, or 0 before the first; and steps at most.
    seed
        Seed of this start; a new one means that the fit was restarted.
    losses, criteria
        Loss and criterion of the steps since the last progress, up to ``step``.
    snapshot
        Snapshot of this step in the shape of the frame or tile; ``None`` if none was taken.
    kept_step
        Step that would be kept, were the fit to end now; 0 before the first snapshot.
    n_steps_taken
        Steps over all frames and starts.
    guide_share
        Share that is done of the estimates that guide the fit, 0 to 1; ``None`` if there are none.
    guide_steps
        Number of steps that take about as long as these.
    guide_seconds
        Seconds of such estimates so far, over all frames.
    group
        Place in the group of frames that are guided together; ``None``, the default, for a frame on its own.
    found
        Share that is done of the search for the instrument, 0 to 1; ``None``, the default, where it is not under way.
    """

    frame: int
    n_frames: int
    n_steps: int
    seed: int
    n_steps_taken: int
    tile: int = 0
    n_before: int = 0
    n_tiles: int = 1
    step: int = 0
    losses: tuple[float, ...] = ()
    criteria: tuple[float, ...] = ()
    snapshot: Snapshot | None = None
    kept_step: int = 0
    guide_share: float | None = None
    guide_steps: float = 0.0
    guide_seconds: float = 0.0
    group: GroupPlace | None = None
    found: float | None = None

    @property
    def piece(self) -> int:
        """Number of the frame or tile among all of all frames, from 0."""
        return self.frame * self.n_tiles + self.tile

    @property
    def frame_share(self) -> float:
        """Share of the work on this frame that is done, 0 to 1."""
        return (self.tile + self._piece_share) / self.n_tiles

    @property
    def _piece_share(self) -> float:
        share = self.step / self.n_steps
        if self.guide_share is not None:
            share = (self.guide_steps * self.guide_share + self.step) / (self.guide_steps + self.n_steps)
        return share

    @property
    def seconds_per_step(self) -> float:
        """Mean duration of a step in seconds, without the estimates before the first; NaN before it."""
        return (self.seconds - self.guide_seconds) / self.n_steps_taken if self.n_steps_taken else math.nan

    @property
    def share(self) -> float:
        """Share of the work on all frames that is done, 0 to 1."""
        n_done = self.n_before + self._piece_share
        if self.group is not None:
            of_group = self.group.share(self.guide_share or 0.0, self.guide_steps, self.step / self.n_steps)
            n_done = max(0.0, self.n_before - self.group.place + self.group.n_frames * of_group)
        return n_done / (self.n_frames * self.n_tiles)

    @property
    def seconds_left(self) -> float:
        """Seconds at most, were every frame to use all its steps; infinite while it cannot be told."""
        if self.group is not None or self.step < min(N_TIMED, self.n_steps):
            return super().seconds_left if self.share >= LEAST_SHARE else math.inf
        n_pieces_left = self.n_frames * self.n_tiles - self.n_before - 1
        n_left = self.n_steps - self.step + n_pieces_left * self.n_steps
        return n_left * self.seconds_per_step + n_pieces_left * self.guide_seconds / (self.n_before + 1)

    def __str__(self) -> str:
        """Say where it is, for the user."""
        if self.found is not None:
            return describe_search(self.found)
        frame = f"Frame {self.frame + 1} of {self.n_frames}, " if self.n_frames > 1 else ""
        tile = f"tile {self.tile + 1} of {self.n_tiles}, " if self.n_tiles > 1 else ""
        if self.step:
            place = (
                f"{frame}{tile}step {self.step} of at most {self.n_steps}, {format_each(self.seconds_per_step)} each."
            )
        else:
            place = f"{frame}{tile}first estimate: {format_share(self.guide_share or 0)}."
        best = f" Step {self.kept_step} is the best so far." if self.kept_step else ""
        return place[0].upper() + place[1:] + best
