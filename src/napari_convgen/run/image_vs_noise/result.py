"""What fits of one generator to an image and to noise came to: curves, images, plots, and the answer in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.snapshot import Snapshot, StopReason
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.run.denoise.result import versions, without_nan
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.run.image_vs_noise.panels import TITLES, distance_plot, error_plot
from napari_convgen.run.labels import format_place, format_seconds, format_share
from napari_convgen.run.shown import ShownResult

FITTED = 0.1
"""Share of a target's variance, at most, that is left once it counts as fitted; a round number."""

MOST_LAYERS = 8
"""Number of layers in a plot of weight distances, evenly spread over a deeper generator: more curves cannot be told apart."""


@dataclass(frozen=True, eq=False)
class TargetFit:
    """The fit to one target.

    Attributes
    ----------
    name
        Name: ``"image"``, ``"noise"``, ``"reference"`` or ``"added noise"``.
    values
        Target in the image's shape, dtype and units, held within the image's range.
    losses
        Mean squared difference between the generator's image and the target at each of the steps, over the target's variance.
    errors
        Mean squared difference from the clean image, over the clean image's variance, in the image's units. Clean is the reference; for
        ``"added noise"`` without one, the image. NaN if there is nothing to compare with.
    distances
        Distance of each layer's weights from their start, over the norm of the start, after each of the steps.
    snapshots
        Snapshots in the image's shape, dtype and units; their loss is that of ``losses``.
    """

    name: str
    values: NDArray[Any]
    losses: Float[np.ndarray, "t"]
    errors: Float[np.ndarray, "t"]
    distances: Float[np.ndarray, "t layers"]
    snapshots: tuple[Snapshot, ...]

    @property
    def title(self) -> str:
        """Name in words."""
        return TITLES[self.name]

    @property
    def has_errors(self) -> bool:
        """True if there is a clean image."""
        return bool(np.isfinite(self.errors).all())


@dataclass(frozen=True, eq=False, repr=False)
class CompareFitsResult(ShownResult):
    """Fits of one generator from one start.

    Attributes
    ----------
    targets
        Fits to the targets: the image first, then noise of its norm.
    steps
        Steps at which curves were noted, rising.
    layers
        Names of the layers, from the latent to the image.
    config
        Configuration of the fits.
    target_settings
        Settings of the targets.
    image
        Frame in the generator's units.
    reason
        Reason why the fits ended.
    notes
        Sentences that the user should know.
    seconds
        Seconds that the fits took.
    device, n_threads, backend
        Device, number of threads of the CPU, and what computed the generator.
    """

    targets: tuple[TargetFit, ...]
    steps: tuple[int, ...]
    layers: tuple[str, ...]
    config: Config
    target_settings: TargetsConfig
    image: ImageTensor
    reason: StopReason
    notes: tuple[str, ...]
    seconds: float
    device: str
    n_threads: int
    backend: str

    def __getitem__(self, name: str) -> TargetFit:
        """Return the fit to a target by its name."""
        return next(target for target in self.targets if target.name == name)

    def first_step(self, name: str, share: float = FITTED) -> int | None:
        """Return the first step noted at which at most that share of a target's variance is left; ``None`` if there is none."""
        (fitted,) = np.nonzero(self[name].losses <= share)
        return self.steps[fitted[0]] if len(fitted) else None

    def sentences(self) -> tuple[str, ...]:
        """Say how the image was fitted beside noise, and where its fits were nearest to the clean image."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[str]:
        last, image_step, noise_step = self.steps[-1], self.first_step("image"), self.first_step("noise")
        step = last if image_step is None else image_step
        i = self.steps.index(step)
        image, noise = (format_share(self[name].losses[i]) for name in ("image", "noise"))
        yield f"After step {step}, {image} of the image is left to fit, and {noise} of the noise."
        if image_step is not None:
            fitted = format_share(FITTED)
            if noise_step is None:
                yield f"Of the noise, more than {fitted} is left to fit after all {last} steps."
            else:
                times = _times(noise_step / image_step)
                yield f"For the noise it takes {times} times as many steps, {noise_step}, until {fitted} is left to fit."
        for target in self.targets:
            if target.has_errors:
                yield self._nearest(target)

    def _nearest(self, target: TargetFit) -> str:
        best, last = int(np.argmin(target.errors)), len(self.steps) - 1
        clean = "image without the added noise" if self._is_own_reference(target) else "reference"
        words = f"The fit to the {target.title} is nearest to the {clean} at step {self.steps[best]}"
        share = f"{format_share(target.errors[best])} of it is missing"
        if best == last:
            return f"{words}, the last one: {share}."
        return f"{words}: {share}, and {format_share(target.errors[last])} after step {self.steps[last]}."

    def _is_own_reference(self, target: TargetFit) -> bool:
        return target.name == "added noise" and not any(other.name == "reference" for other in self.targets)

    def lines(self) -> Iterator[str]:
        """Say how the fits went."""
        yield f"{type(self).__name__}: {', '.join(target.title for target in self.targets)}"
        yield f"{self.steps[-1]} steps. {self.reason}"
        yield from self._sentences()
        yield f"{format_seconds(self.seconds)} on {format_place(self.device, self.backend, self.n_threads)}, {self._count_notes()}."

    def panels(self) -> list[Panel]:
        """Return the plots: errors by step, weight distances by layer after the last step, and for each target by step."""
        return [
            error_plot([(t.name, t.losses, t.errors) for t in self.targets], self.steps),
            distance_plot([(t.name, t.distances[-1]) for t in self.targets], self.layers, self.steps[-1]),
            *(self._distances_of(target) for target in self.targets),
        ]

    def _distances_of(self, target: TargetFit) -> Plot:
        n = len(self.layers)
        shown = np.unique(np.linspace(0, n - 1, min(n, MOST_LAYERS)).round().astype(int))
        curves = [Curve(self.layers[i], np.array(self.steps), target.distances[:, i]) for i in shown]
        some = "" if len(shown) == n else f" ({len(shown)} of {n} layers)"
        title = f"Weights, {target.title}{some}"
        return Plot(title, "step", "relative distance", curves, "log", "log")

    def report(self) -> dict[str, Any]:
        """Return all but the images as plain values for JSON."""
        report: dict[str, Any] = {
            "sentences": list(self.sentences()),
            "config": self.config.model_dump(),
            "noise": self.target_settings.noise,
            "mean": self.target_settings.mean,
            "added_noise": self.target_settings.added_noise,
            "versions": versions(),
            "steps": list(self.steps),
            "layers": list(self.layers),
            "targets": {target.name: _record(target) for target in self.targets},
            "reason": str(self.reason),
            "outcome": self.reason.outcome.value,
            "notes": list(self.notes),
            "noise_model": None if self.image.noise is None else str(self.image.noise),
            "seconds": round(self.seconds, 2),
            "device": self.device,
            "n_threads": self.n_threads,
            "backend": self.backend,
        }
        plain: dict[str, Any] = without_nan(report)
        return plain


def _times(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _record(target: TargetFit) -> dict[str, Any]:
    return {
        "losses": target.losses.tolist(),
        "errors": target.errors.tolist() if target.has_errors else None,
        "distances": target.distances.tolist(),
        "snapshot_steps": [snapshot.step for snapshot in target.snapshots],
    }
