"""What a comparison returns: each method's outcome, one table, and the form as a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import Layout, removed
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.quality.metrics import Scores
from napari_convgen.core.quality.residual import Residual
from napari_convgen.figures.panel import Panel
from napari_convgen.run.denoise.result import DenoiseResult, Reference, versions, without_nan
from napari_convgen.run.labels import format_method, format_seconds
from napari_convgen.run.shown import ShownResult, shown_planes


@dataclass(frozen=True, eq=False)
class MethodResult:
    """The outcome of one method.

    Attributes
    ----------
    method
        Name of the method, such as ``"nlm"``.
    image
        Denoised image, in the input's shape and range, of the same type for all methods; ``None`` if the method failed.
    seconds
        Seconds that the method itself took, without loading and scoring.
    scores
        Scores against the reference; ``None`` if there is none.
    residual
        Residual of the image against the noise model; ``None`` if the method failed.
    notes
        Sentences that the user should know.
    error
        Reason why the method failed; ``None`` if it did not.
    fit
        Result of the generator's fit; ``None`` for a baseline.
    """

    method: str
    image: NDArray[Any] | None = None
    seconds: float = 0.0
    scores: Scores | None = None
    residual: Residual | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    fit: DenoiseResult | None = None

    @property
    def title(self) -> str:
        """Name in words."""
        return format_method(self.method)


@dataclass(frozen=True, eq=False, repr=False)
class CompareResult(ShownResult):
    """The outcome of a comparison.

    Attributes
    ----------
    methods
        Outcomes of the methods, in the order that was asked for.
    config
        Configuration of the generator and the noise.
    noise
        Model of each frame's noise; ``None`` for frames that are constant or were not reached.
    notes
        Sentences that the user should know, whatever the method.
    layout
        Meaning of the input's axes.
    input, input_scores
        Noisy image, and its scores; ``None`` without a reference.
    reference
        Ground truth; ``None`` if it was not given.
    fit_affine
        True if images were scored after the gain and offset closest to the reference.
    """

    methods: tuple[MethodResult, ...]
    config: Config
    noise: tuple[NoiseModel | None, ...]
    notes: tuple[str, ...]
    layout: Layout
    input: Any
    input_scores: Scores | None
    reference: Reference | None
    fit_affine: bool

    def __getitem__(self, method: str) -> MethodResult:
        """Return the outcome of a method by its name."""
        return next(result for result in self.methods if result.method == method)

    def residual_image(self, method: str) -> NDArray[np.float32]:
        """Return the input minus the image of a method that did not fail."""
        image = self[method].image
        assert image is not None
        return removed(self.input, image)

    def lines(self) -> Iterator[str]:
        """Say how the methods did, as a table."""
        shape = " × ".join(map(str, self.input.shape))
        yield f"{type(self).__name__}: {len(self.methods)} methods on {shape} ({self.layout.axes}), {self._count_notes()}"
        yield from self._rows().splitlines()

    def panels(self) -> list[Panel]:
        """Return pictures of the input, of the images of all methods that did not fail, and of the reference."""
        images = {"Noisy": self.input}
        images |= {result.title: result.image for result in self.methods if result.image is not None}
        if self.reference is not None:
            images["Reference"] = self.reference.image
        return shown_planes(images, self.layout)

    def table(self) -> str:
        """Return the outcomes as a Markdown table, and under it what it means."""
        return self._rows() + "".join(f"\n{line}\n" for line in self.remarks())

    def _rows(self) -> str:
        has_scores = self.reference is not None
        head = ["method", *(["PSNR", "SSIM"] if has_scores else []), "residual / noise", "its autocorrelation", "time"]
        rows = [["noisy", *_score_cells(self.input_scores), "", "", ""]] if has_scores else []
        for result in self.methods:
            if result.residual is None:
                rows.append([result.title, *[""] * (len(head) - 2), "failed"])
                continue
            cells = [f"{result.residual.spread:.2f}", f"{result.residual.autocorrelation:.2f}"]
            scores = _score_cells(result.scores) if has_scores else []
            rows.append([result.title, *scores, *cells, format_seconds(result.seconds)])
        return markdown_table(head, rows)

    def remarks(self) -> Iterator[str]:
        """Say what the table means: the noise, the data range, and what there is to note."""
        if models := list(dict.fromkeys(str(model) for model in self.noise if model is not None)):
            yield f"{models[0]}." if len(models) == 1 else "The noise was estimated for each frame; see the report."
        if self.reference is not None:
            fitted = ", after the gain and offset closest to the reference" if self.fit_affine else ""
            yield f"PSNR in dB and SSIM for a data range of {self.reference.data_range:g}{fitted}."
        yield from self.notes
        for result in self.methods:
            yield from (
                f"{result.title}: {note}" for note in [*result.notes, *([result.error] if result.error else [])]
            )

    def report(self) -> dict[str, Any]:
        """Return the comparison as plain values for JSON."""
        report: dict[str, Any] = {
            "versions": _versions(),
            "config": self.config.model_dump(),
            "axes": self.layout.axes,
            "noise": [None if model is None else asdict(model) for model in self.noise],
            "notes": list(self.notes),
            "methods": [_method_report(result) for result in self.methods],
        }
        if self.reference is not None and self.input_scores is not None:
            report |= {
                "data_range": self.reference.data_range,
                "fit_affine": self.fit_affine,
                "input": asdict(self.input_scores),
            }
        plain: dict[str, Any] = without_nan(report)
        return plain


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, all but its first column to the right, padded to be read as it is."""
    widths = [max(3, *(len(row[i]) for row in [head, *rows])) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]
        for cells in [head, rule, *rows]
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _score_cells(scores: Scores | None) -> list[str]:
    return ["", ""] if scores is None else [f"{scores.psnr:.2f}", f"{scores.ssim:.3f}"]


def _method_report(result: MethodResult) -> dict[str, Any]:
    report: dict[str, Any] = {"method": result.method, "seconds": result.seconds, "notes": list(result.notes)}
    if result.error is not None:
        report["error"] = result.error
    if result.scores is not None:
        report |= asdict(result.scores)
    if result.residual is not None:
        report["residual"] = asdict(result.residual)
    if result.fit is not None:
        report["fit"] = {
            "config": result.fit.config.model_dump(),
            "step": result.fit.step,
            "reason": str(result.fit.reason),
            "device": result.fit.device,
        }
    return report


def _versions() -> dict[str, str]:
    names = [name for name in ("bm3d", "PyWavelets", "scikit-image") if name != "bm3d" or find_spec(name)]
    return versions() | {name: version(name) for name in names}
