"""Explore a fixed upsampling kernel: its weight for each frequency, and the denoising that it predicts for an image.

With two layers and infinite width the generator is a linear filter. Its effect on an image can therefore be computed without a fit.
Importing this module loads no torch; `explore` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_convgen.config import AutoNoiseConfig, GaussianNoiseConfig, NoiseConfig
from napari_convgen.core.image import ImageTensor, Layout, Measured, check_array
from napari_convgen.core.theory.bounds import ErrorTerms, stopping_step, worst_terms
from napari_convgen.core.theory.kernels import bilinear, custom, gaussian, normalized, triangular
from napari_convgen.errors import ConfigError, InputError

if TYPE_CHECKING:
    from napari_convgen.core.noise import NoiseModel
    from napari_convgen.core.theory.induced_filter import InducedFilter

Array = NDArray[np.float64]
Kind = Literal["triangle", "Gaussian", "bilinear", "custom"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LAST_STEP = 10**6
"""Last step that is predicted.

Chosen so that descent has fitted nearly all of the noise by then: on both sample images the predicted error is back at that of the noisy
image, and the best step lies between 9 and 15,849, for each of the five kernels in docs/kernels.md."""

STEPS: Array = np.unique(np.logspace(0, 6, 121).round())
"""Steps that are predicted, 1 to `LAST_STEP`: those of `InducedFilter.predict`, 20 for each factor of ten, whole numbers, each once."""

MIN_LENGTH, MAX_LENGTH = 8, 1024
"""Limits of a signal's length, in samples.

Chosen so that the kernel of bilinear upsampling, which has four samples, covers at most half of a signal, and that the matrix of a signal's
basis takes at most 8 MiB."""

BOUND_STRIDE = 3
"""Stride in `STEPS` of the steps at which the bound is evaluated.

Chosen so that a curve has about seven points for each factor of ten: both terms change slowly on a logarithmic axis."""

FRAME = Layout("YX", "YX")
"""Layout of an image that is explored: rows and columns, no channels."""


@dataclass(frozen=True, eq=False)
class KernelChoice:
    """A kernel of a certain form, for a signal or an image of any size.

    Attributes
    ----------
    kind
        Form of the kernel; ``"bilinear"`` is the kernel of bilinear upsampling by two.
    width
        Half-width in samples, above 0, 5 by default, the same along each axis: the distance from the origin at which a triangle is zero (a
        whole number) or a Gaussian has fallen to 1/e. The other kinds do not use it.
    taps
        Values of a custom kernel, on one axis (then it is the same along each axis) or on two; ``None`` for all other kinds.
    """

    kind: Kind
    width: float = 5.0
    taps: NDArray[Any] | None = None

    def on(self, size: Sequence[int]) -> Array:
        """Return the kernel on a signal or an image, with a Euclidean norm of one and its origin at the first sample.

        If the taps of a custom kernel lie on two axes, a signal takes their middle row.

        Parameters
        ----------
        size
            Number of samples along each axis: one axis for a signal, two for an image.

        Raises
        ------
        InputError
            The kernel is larger than the signal or the image, or the taps are not valid.
        """
        if self.kind == "triangle":
            if self.width != int(self.width):
                raise InputError(f"A triangle's half-width must be a whole number, got {self.width:g}. Round it.")
            return normalized(triangular(size, int(self.width)))
        if self.kind == "Gaussian":
            if not 0 < self.width <= min(size) / 4:
                raise InputError(
                    f"A Gaussian must fit {' × '.join(map(str, size))} samples: expected a width of more than 0 and at most a quarter "
                    f"of the shortest side, {min(size) / 4:g}, got {self.width:g}. Give a smaller one."
                )
            return normalized(reduce(np.multiply.outer, [gaussian((n,), self.width / n) for n in size]))
        if self.kind == "bilinear":
            return normalized(bilinear(size))
        taps = _checked_taps(self.taps)
        if taps.ndim > len(size):
            taps = taps[(len(taps) - 1) // 2]
        return normalized(custom(taps, size))


@dataclass(frozen=True, eq=False)
class Bound:
    r"""Theorem 1 for an image, in units of the noise: 1 is the error of the noisy image.

    Attributes
    ----------
    n_signal, n
        Number p of basis functions that are assumed to span the signal, those of largest weight, and number n of all basis functions.
    stopping_step
        Step :math:`\tau^*` at which the theorem stops the descent; a real number, less than one if not even one step is allowed.
    at_stop
        Both terms of the bound at the stopping step.
    steps, signal, noise
        Steps, and both terms of the bound at each of them.
    outside
        Share of the signal's energy, 0 to 1 and without its mean, that lies outside the span of the p functions; an estimate.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, theorem 1.
    """

    n_signal: int
    n: int
    stopping_step: float
    at_stop: ErrorTerms
    steps: Array
    signal: Array
    noise: Array
    outside: float

    @property
    def least(self) -> float:
        """Lowest bound at any of the steps: the minimum of the sum of both terms."""
        return float((self.signal + self.noise).min())


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predicted denoising of an image, computed without its clean version.

    Attributes
    ----------
    image
        Noisy image in the generator's units, its noise stabilized.
    noise_level
        Root mean square of the noise, in the generator's units.
    freedom
        Degrees of freedom at each of `STEPS`, 0 to the number of pixels.
    errors
        Predicted root mean squared error at each of `STEPS`, in units of the noise: the root of Stein's unbiased risk estimate, NaN where
        that is negative.
    best
        Position in `STEPS` of the lowest predicted error.
    bound
        Bound of theorem 1 for the image.
    """

    image: ImageTensor
    noise_level: float
    freedom: Array
    errors: Array
    best: int
    bound: Bound
    _spectrum: NDArray[np.complex128]
    _logarithm: Array

    @property
    def noise(self) -> NoiseModel:
        """Model of the noise of the image."""
        assert self.image.noise is not None
        return self.image.noise

    def denoise(self, step: float) -> NDArray[Any]:
        """Return the image after ``step`` steps, in its own units and dtype."""
        from napari_convgen.run.setup.host_state import isolated

        # A slider calls this as it moves, so it is fast: the transform is kept, and of a real image one half of the frequencies is enough.
        with isolated():
            fitted = np.fft.irfft2(self._spectrum * -np.expm1(step * self._logarithm), self.image.values.shape[1:])
            return self.image.restore(fitted[np.newaxis], is_denoised=False)


@dataclass(frozen=True, eq=False)
class Exploration:
    """A kernel on a signal and on an image, with the filters that it induces.

    Attributes
    ----------
    signal_kernel, image_kernel
        Kernel on a signal and on an image, each with a Euclidean norm of one and its origin at the first sample.
    signal_filter, image_filter
        Linear filters that the kernel induces on the signal and on the image.
    prediction
        Predicted denoising of the image; ``None`` without an image.
    """

    signal_kernel: Array
    image_kernel: Array
    signal_filter: InducedFilter
    image_filter: InducedFilter
    prediction: Prediction | None

    @property
    def length(self) -> int:
        """Number of samples of the signal."""
        return len(self.signal_kernel)


def explore(
    choice: KernelChoice,
    length: int = 300,
    frame: NDArray[Any] | None = None,
    sigma: float | Literal["auto"] = "auto",
    signal_share: float = 0.05,
) -> Exploration:
    """Explore a kernel, and predict how it denoises an image.

    Parameters
    ----------
    choice
        Kernel to explore.
    length
        Number of samples of the signal, `MIN_LENGTH` to `MAX_LENGTH`; also the side of the image in pixels if ``frame`` is ``None``. The
        default is 300, as in the paper's figures.
    frame
        Noisy image with rows and columns, finite everywhere; ``None``, the default, makes no prediction.
    sigma
        Standard deviation of the image's noise, above 0, in the image's own units, the same in all pixels; ``"auto"``, the default,
        estimates the kind and the parameters of the noise.
    signal_share
        Share p/n of theorem 1, between 0 and 1, 0.05 by default: share of the basis functions that are assumed to span the signal, those of
        largest weight.

    Raises
    ------
    InputError
        The kernel or the image cannot be used.
    ConfigError
        The length, sigma or share is out of range.
    """
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise ConfigError(f"The signal must have {MIN_LENGTH} to {MAX_LENGTH} samples, got {length}.")
    if not (sigma == "auto" or sigma > 0):
        raise ConfigError(f"The noise's standard deviation must be positive or 'auto', got {sigma}.")
    if not 0 < signal_share < 1:
        raise ConfigError(f"The share of the functions must be between 0 and 1, got {signal_share}.")
    if frame is not None:
        _check_frame(frame)
    size = (length, length) if frame is None else frame.shape
    from napari_convgen.core.theory.induced_filter import induced_filter
    from napari_convgen.run.setup.host_state import isolated

    with isolated():
        signal_kernel, image_kernel = choice.on((length,)), choice.on(size)
        image_filter = induced_filter(image_kernel)
        prediction = None if frame is None else _predict(image_filter, frame, sigma, signal_share)
        return Exploration(signal_kernel, image_kernel, induced_filter(signal_kernel), image_filter, prediction)


def _predict(
    image_filter: InducedFilter, frame: NDArray[Any], sigma: float | Literal["auto"], signal_share: float
) -> Prediction:
    from napari_convgen.run.setup.build import build_noise

    # The filter uses every pixel, so none is excluded as an impulse.
    settings: NoiseConfig = (
        AutoNoiseConfig(has_impulses="no", has_stripes="no", is_uniform="yes")
        if sigma == "auto"
        else _plain_noise(sigma)
    )
    measured = Measured.whole(frame, FRAME)
    image = ImageTensor.of(frame, FRAME, build_noise(measured, FRAME, settings), measured)
    level = float(image.mean_noise_level[0])
    if not level > 0:
        raise InputError(
            "No noise was found in the image, so there is nothing to predict. Give the noise's standard deviation."
        )
    values = image.values[0]
    descent = image_filter.predict(values, level, LAST_STEP)
    risk = descent.risk.numpy()
    errors = np.sqrt(np.where(risk > 0, risk, np.nan)) / level
    weights = image_filter.weights[:, : values.shape[1] // 2 + 1]
    with np.errstate(divide="ignore"):
        logarithm = np.log1p(-image_filter.rate * weights)
    bound = _bound(image_filter, values, level, signal_share)
    return Prediction(
        image, level, descent.freedom.numpy(), errors, descent.best, bound, np.fft.rfft2(values), logarithm
    )


def _plain_noise(sigma: float) -> GaussianNoiseConfig:
    return GaussianNoiseConfig(sigma=sigma, has_impulses="no", has_stripes="no", is_uniform="yes")


def _bound(image_filter: InducedFilter, values: Array, level: float, signal_share: float) -> Bound:
    n = values.size
    p = min(max(1, round(signal_share * n)), n - 1)
    order = np.argsort(-image_filter.weights, axis=None, kind="stable")
    weights = image_filter.weights.ravel()[order]
    energy = np.abs(np.fft.fft2(values)) ** 2 / n / level**2
    varied = energy.ravel().copy()
    varied[0] = 0  # the mean
    beyond = order[p:]
    outside = varied[beyond].sum() - (beyond > 0).sum()
    varying = varied.sum() - (n - 1)
    signal_norm, noise_norm = np.sqrt(max(energy.sum() / n - 1, 0.0)), 1.0

    def terms(step: float) -> ErrorTerms:
        return worst_terms(weights, image_filter.rate, p, signal_norm, noise_norm, step)

    steps = STEPS[::BOUND_STRIDE]
    courses = [terms(step) for step in steps]
    stop = stopping_step(weights, p, image_filter.rate)
    return Bound(
        p,
        n,
        stop,
        terms(stop),
        steps,
        np.array([each.signal for each in courses]),
        np.array([each.noise for each in courses]),
        float(np.clip(outside / varying, 0, 1)) if varying > 0 else 0.0,
    )


def _check_frame(frame: NDArray[Any]) -> None:
    if frame.ndim != 2:
        raise InputError(f"The filter takes one image with rows and columns, got an array of shape {frame.shape}.")
    [check] = check_array(frame, FRAME)
    if n_missing := check.left_out.n_missing:
        raise InputError(
            f"The filter needs every pixel, but {n_missing} of the image are missing (NaN). Fill them or crop the image."
        )


def _checked_taps(taps: NDArray[Any] | None) -> Array:
    """Return the taps as floats, without axes of a single sample."""
    if taps is None:
        raise InputError(
            "There are no taps for a custom kernel. Open an array of them as an image layer and choose it."
        )
    if taps.dtype.kind not in "buif":
        raise InputError(f"Taps of a kernel must be real numbers, got {taps.dtype}. Convert them.")
    squeezed = np.atleast_1d(np.squeeze(taps).astype(np.float64))
    if squeezed.ndim > 2:
        raise InputError(f"Taps of a kernel must lie on one axis or two, got the shape {taps.shape}. Take one frame.")
    return squeezed
