"""How far the files of a batch are, and its report."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from napari_convgen.batch.plan import Plan
from napari_convgen.batch.records import DONE, FAILED, read_head, read_record
from napari_convgen.files.atomic import write_text
from napari_convgen.run.labels import format_count, format_done

UNFINISHED = "unfinished"
"""Status of a file of which pieces are left."""

REPORT = "report.csv"
"""Name of the table in the folder of the outputs."""


@dataclass(frozen=True)
class FileState:
    """How far a file is.

    Attributes
    ----------
    input, output
        The file, and that of its result.
    status
        ``"done"``, ``"failed"`` (nothing is left but pieces that failed, or an output that cannot be written) or ``"unfinished"``.
    n_pieces, n_done, n_failed
        Number of pieces, of those that are done, and of those that failed.
    seconds, cpu_seconds
        Sum over the pieces that have ended, by the clock and of the CPU.
    error
        Why the first of the pieces that failed did, or why the output cannot be written; empty if nothing failed.
    """

    input: str
    output: str
    status: str
    n_pieces: int
    n_done: int
    n_failed: int
    seconds: float
    cpu_seconds: float
    error: str

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Read how far a file is from the records."""
        n_pieces = plan.cut.n_pieces
        if plan.is_done and (head := read_head(plan.record)) is not None:
            times = head["seconds"], head["cpu_seconds"]
            return cls(str(plan.path), str(plan.output), DONE, n_pieces, n_pieces, 0, *times, error="")
        pieces = list(plan.ended().values())
        errors = [piece.error for piece in pieces if piece.status == FAILED]
        n_failed, unwritten = len(errors), read_record(plan.unwritten)
        if unwritten is not None:
            errors.append(unwritten["error"])
        return cls(
            input=str(plan.path),
            output=str(plan.output),
            status=FAILED if errors and len(pieces) == n_pieces else UNFINISHED,
            n_pieces=n_pieces,
            n_done=len(pieces) - n_failed,
            n_failed=n_failed,
            seconds=round(sum(piece.seconds for piece in pieces), 3),
            cpu_seconds=round(sum(piece.cpu_seconds for piece in pieces), 3),
            error=errors[0] if errors else "",
        )


@dataclass(frozen=True)
class BatchResult:
    """How far a batch is.

    Attributes
    ----------
    folder
        Folder of the outputs.
    files
        How far each file is.
    """

    folder: Path
    files: tuple[FileState, ...]

    @classmethod
    def of(cls, folder: Path, plans: Iterable[Plan]) -> Self:
        """Read how far files are."""
        return cls(folder, tuple(FileState.of(plan) for plan in plans))

    def n_files(self, status: str) -> int:
        """Return the number of files with a status."""
        return sum(each.status == status for each in self.files)

    @property
    def n_failed_pieces(self) -> int:
        """Number of pieces that failed."""
        return sum(each.n_failed for each in self.files)

    @property
    def unwritten(self) -> tuple[FileState, ...]:
        """The files whose pieces are done, and whose outputs cannot be written."""
        return tuple(each for each in self.files if each.status == FAILED and not each.n_failed)

    @property
    def is_failed(self) -> bool:
        """True if pieces failed, or outputs cannot be written."""
        return bool(self.n_failed_pieces or self.unwritten)

    def write_report(self) -> None:
        """Write the table of the files into the folder of the outputs; what it says of other files there stays."""
        text = io.StringIO()
        columns, own = [field.name for field in fields(FileState)], {Path(each.output).name for each in self.files}
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(row for row in self._rows(columns) if Path(row["output"]).name not in own)
        table.writerows(asdict(each) for each in self.files)
        write_text(self.folder / REPORT, text.getvalue())

    def _rows(self, columns: list[str]) -> list[dict[str, str]]:
        """Return the rows of the table that is there; none if it is another one."""
        path = self.folder / REPORT
        if not path.is_file():
            return []
        table = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        return list(table) if table.fieldnames == columns else []

    def __str__(self) -> str:
        done, pieces = self.n_files(DONE), sum(each.n_pieces for each in self.files)
        n_done = sum(each.n_done for each in self.files)
        text = f"{format_done(done, len(self.files), 'file')}, {n_done} of {format_count(pieces, 'piece')}."
        failed = [each for each in self.files if each.n_failed]
        if failed:
            text += (
                f" {format_count(self.n_failed_pieces, 'piece')} of {format_count(len(failed), 'file')} failed, the first of "
                f"{failed[0].input}: {failed[0].error} "
                "Try them again with --retry-failed."
            )
        if self.unwritten:
            text += (
                f" {format_count(len(self.unwritten), 'output')} cannot be written, the first that of {self.unwritten[0].input}: "
                f"{self.unwritten[0].error} The pieces are kept, and the same command tries again."
            )
        return text
