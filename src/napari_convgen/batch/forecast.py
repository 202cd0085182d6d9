"""Time, memory and disk that a batch takes, predicted before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_convgen.batch.piece import Job, open_file
from napari_convgen.errors import FitError, InputError
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.run.labels import format_bytes, format_count, format_seconds
from napari_convgen.run.setup.forecast import Seconds

PROCESS_BYTES = 550 * 2**20
"""Memory of a process with all that is loaded, beside what a fit takes: about that after the first frame in benchmarks/results/large.md."""


@dataclass(frozen=True)
class BatchForecast:
    """Time, memory and disk of a batch.

    Attributes
    ----------
    n_files, n_pieces
        Number of files, and of all their pieces.
    n_pieces_left
        Number of pieces that are to be done.
    n_workers
        Number of pieces that are done at a time.
    total
        Seconds of all pieces that are left, at most, one after the other.
    n_bytes
        Bytes of memory of all workers and of the process that hands out the pieces, at the peak, about.
    n_disk_bytes, n_disk_bytes_free
        Bytes that outputs and pieces take on the disk, and bytes that are free there.
    """

    n_files: int
    n_pieces: int
    n_pieces_left: int
    n_workers: int
    total: Seconds
    n_bytes: int
    n_disk_bytes: int
    n_disk_bytes_free: int

    @property
    def seconds(self) -> float:
        """Seconds by the clock at most."""
        return self.total.wall / max(1, self.n_workers)

    def __str__(self) -> str:
        workers, files, pieces = (
            format_count(n, noun)
            for n, noun in ((self.n_workers, "worker"), (self.n_files, "file"), (self.n_pieces, "piece"))
        )
        return (
            f"{files}, {pieces}, {self.n_pieces_left} of them to do. "
            f"At most {format_seconds(self.seconds)} with {workers}, {format_seconds(self.total.cpu)} of CPU time. "
            f"About {format_bytes(self.n_bytes)} of memory, and {format_bytes(self.n_disk_bytes)} on the disk, of which "
            f"{format_bytes(self.n_disk_bytes_free)} are free."
        )


def time_pieces(jobs: Sequence[Job]) -> Seconds:
    """Predict the duration of pieces, one after the other: a few steps of the largest are taken, timed and forgotten.

    Parameters
    ----------
    jobs
        The pieces.

    Raises
    ------
    FitError
        There is nothing to fit in any of the largest.
    """
    if not jobs:
        return Seconds()
    first = max(jobs, key=lambda job: job.plan.cut.n_values)
    largest = first.plan
    image = first.image or open_file(largest).image
    for job in jobs:
        if job.plan is not largest:
            continue
        part = largest.part_of(job.number, job.piece)
        window = largest.window_of(image, job.piece)
        try:
            task = DenoiseTask(window, largest.config, keeps_snapshots=False, part=part)
            forecast = task.forecast()
        except InputError:  # it is constant, or lacks noise
            continue
        return forecast.piece * (sum(map(_n_values, jobs)) / largest.cut.n_values)
    raise FitError(f"There is nothing to fit in {largest.path}: all its pieces are constant. Leave it out.")


def _n_values(job: Job) -> int:
    """Return the number of values that are fitted in a piece."""
    part = job.plan.part_of(job.number, job.piece)
    return job.plan.cut.n_values * (1 if part is None else len(part.own))
