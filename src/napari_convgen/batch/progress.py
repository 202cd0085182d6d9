"""How far a batch is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BatchProgress:
    """The state of a batch, whenever a piece has ended.

    Attributes
    ----------
    input, piece, status
        File and number of the piece, and what became of it: ``"done"`` or ``"failed"``.
    n_done, n_failed, n_pieces
        Number of pieces that are done and that failed, of all of this run.
    n_workers
        Number of pieces that are done at a time.
    seconds
        Seconds since it began.
    seconds_per_piece
        Mean seconds that the pieces which have ended took, without the start of the workers.
    """

    input: Path
    piece: int
    status: str
    n_done: int
    n_failed: int
    n_pieces: int
    n_workers: int
    seconds: float
    seconds_per_piece: float

    @property
    def share(self) -> float:
        """Share of the pieces that have ended, 0 to 1."""
        return (self.n_done + self.n_failed) / self.n_pieces

    @property
    def seconds_left(self) -> float:
        """Seconds that the rest takes, if pieces take as long as those that have ended."""
        n_left = self.n_pieces - self.n_done - self.n_failed
        return self.seconds_per_piece * n_left / self.n_workers
