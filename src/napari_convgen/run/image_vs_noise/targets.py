"""What a generator is fitted to beside an image: noise of its norm, its reference, and the image with more noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy.typing import NDArray

from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.run.image_vs_noise.config import MeanKind, NoiseShape, TargetsConfig

NOISE_SOURCE, ADDED_NOISE_SOURCE = 2000, 2001
"""Numbers of the run's sources of chance for the targets; the generators have those before."""


@dataclass(frozen=True, eq=False)
class Target:
    """The target of one member's fit.

    Attributes
    ----------
    name
        Name: ``"image"``, ``"noise"``, ``"reference"`` or ``"added noise"``.
    values
        Target in the generator's units; 0.5 where a pixel is not observed.
    is_observed
        True where a value counts.
    clean
        Clean image that its fits are compared with, in the image's units, channels first; ``None`` if there is none.
    """

    name: str
    values: Shaped[np.ndarray, "c *spatial"]
    is_observed: Bool[np.ndarray, "c *spatial"]
    clean: Float[np.ndarray, "c *spatial"] | None = None

    @property
    def variance(self) -> float:
        """Mean square of the observed values, without each channel's mean."""
        return variance(self.values, self.is_observed)

    @property
    def unreachable(self) -> float:
        """Share of the variance that no image in [0, 1] comes nearer than."""
        beyond = self.values - np.clip(self.values, 0, 1)
        return float(np.mean(beyond**2, where=self.is_observed)) / self.variance


def build_targets(
    image: ImageTensor,
    layout: Layout,
    reference: NDArray[np.generic] | None,
    config: TargetsConfig,
    seed: int,
    has_operator: bool = False,
) -> Iterator[Target]:
    """Go through the targets: the image, noise of its norm, the reference and the image with noise added, where there are any.

    Parameters
    ----------
    image
        Frame in the generator's units, all channels of which are fitted.
    layout
        Layout of the array that the frame is from.
    reference
        Ground truth of the frame; ``None`` if there is none.
    config
        Settings of the targets.
    seed
        Seed of the noise.
    has_operator
        True if the frame is a measurement of the generator's image, so that the reference is no target and a measurement with noise added
        is not compared with that without; default False.
    """
    frame = image.measured.take(image.frame, layout)
    truth = None if reference is None else image.measured.take(reference, layout)
    yield Target("image", image.values, image.is_observed, truth)
    rng = source_of(seed, NOISE_SOURCE)
    noise = noise_like(image.values, image.is_observed, config.noise, config.mean, rng)
    yield Target("noise", noise, image.is_observed)
    if truth is not None and not has_operator:
        is_known = ~np.isnan(truth)
        yield Target("reference", np.where(is_known, image.scale(truth), 0.5), is_known)
    if config.added_noise:
        added = source_of(seed, ADDED_NOISE_SOURCE).normal(0, config.added_noise, frame.shape)
        values = np.where(image.is_observed, image.scale(frame + added), 0.5)
        clean = None if has_operator else frame
        yield Target("added noise", values, image.is_observed, clean if truth is None else truth)


def noise_like(
    image: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    shape: NoiseShape,
    mean: MeanKind,
    rng: np.random.Generator,
) -> Float[np.ndarray, "c *spatial"]:
    """Draw white noise that has the norm of an image in each channel, over the observed values.

    Parameters
    ----------
    image, is_observed
        Image whose norm is taken, and where it is observed.
    shape
        Distribution: ``"uniform"`` in [0, 1], or ``"gaussian"`` with the same mean and variance, before it is scaled.
    mean
        ``"removed"``: the noise has the image's mean, and the norm about it. ``"kept"``: it has the norm of all, and the mean that it is
        drawn with.
    rng
        Source of chance.
    """
    draw = rng.random(image.shape) if shape == "uniform" else rng.normal(0.5, 12**-0.5, image.shape)
    if mean == "kept":
        return np.asarray(draw * np.sqrt(_ratio(image, draw, is_observed)))
    level = _mean(image, is_observed)
    draw -= _mean(draw, is_observed)
    return np.asarray(level + draw * np.sqrt(_ratio(image - level, draw, is_observed)))


def variance(values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> float:
    """Return the mean square of the observed values, each channel's mean taken out."""
    return float(np.mean((values - _mean(values, is_observed)) ** 2, where=is_observed))


def _mean(values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> NDArray[np.float64]:
    """Mean over each channel's observed values; 0 if there are none."""
    over = tuple(range(1, values.ndim))
    total = np.sum(values, axis=over, keepdims=True, where=is_observed)
    return np.asarray(total / np.maximum(is_observed.sum(over, keepdims=True), 1))


def _ratio(
    image: Float[np.ndarray, "c *spatial"],
    draw: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
) -> NDArray[np.float64]:
    """Energy of an image over that of a draw, in each channel."""
    return _mean(image**2, is_observed) / np.maximum(_mean(draw**2, is_observed), np.finfo(float).tiny)


def source_of(seed: int, number: int) -> np.random.Generator:
    """Return a source of chance for one of the targets."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
