"""The noise of an image, estimated from the image alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.blocks import Blocks
from napari_convgen.core.noise.correlation import correlation_length as measure_correlation
from napari_convgen.core.noise.curve import Curve, Line, fit_line
from napari_convgen.core.noise.impulses import find_impulses
from napari_convgen.core.noise.model import NoiseKind, NoiseModel, StableNoise
from napari_convgen.core.noise.rice import rice_mean, rice_variance
from napari_convgen.core.noise.stabilize import Unchanged, stabilizers
from napari_convgen.core.noise.variance import noise_variance
from napari_convgen.errors import ConfigError

Auto = Literal["auto"]
YesNo = Literal["auto", "yes", "no"]

CUT_SHARE = 0.02
"""An intensity counts as cut off if so many of its values are at the image's minimum or maximum."""

MIN_GROWTH, MIN_SIGNIFICANCE, MAX_MISFIT = 1.6, 8.0, 0.25
"""Noise depends on the signal if its variance grows that much from the dark to the bright parts, the slope is so many of its
standard errors, and the measured variances lie about the line that closely."""

SHARED_SHARE = 0.06
"""Channels have the same noise if their differences have less than this share of its variance."""

MIN_IMPULSES = 1e-3
"""Share of the values below which impulses are taken for structure, unless they are asked for."""

MOST_STABLE = 1.04
"""Variance that stabilized noise has at most, if theory does not say more; what is above has structure in it."""

N_ROUNDS = 20
"""Rounds in which the standard deviation of Rician noise settles."""


def estimate_noise(
    values: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    *,
    kind: NoiseKind | Auto = "auto",
    sigma: float | Auto = "auto",
    gain: float | Auto = "auto",
    offset: float | Auto = "auto",
    correlation_length: int | Auto = "auto",
    is_shared: YesNo = "auto",
    has_impulses: YesNo = "auto",
    is_color: bool = False,
) -> NoiseModel:
    """Estimate what is ``"auto"`` from an image, and take the rest.

    Small blocks are sorted by intensity; in each interval the flattest ones say how much noise there is. Where that is the same for all,
    all blocks say it by how their energy falls with the frequency. Of Poisson-Gaussian noise only the line ``variance = gain x + b`` can
    be measured. If neither offset nor sigma is given, the noise in the dark is shot noise as far as it can be: ``offset = -b / gain,
    sigma = 0`` if ``b < 0``, else ``offset = 0, sigma = sqrt(b)``.

    Parameters
    ----------
    values
        Channels first, in the image's units.
    is_observed
        False where a value is missing.
    kind
        Of the noise. Auto takes Poisson-Gaussian if the variance clearly grows with the intensity, Rician if the background is
        Rayleigh distributed and the rest has the variance that goes with it, otherwise Gaussian.
    sigma, gain, offset
        In the image's units, for all channels; see `NoiseModel`.
    correlation_length
        Distance in pixels from which on the noise of two pixels is independent.
    is_shared
        Whether all channels have the very same noise. Auto looks at colors only.
    has_impulses
        Whether single pixels may have nothing to do with their neighbors.
    is_color
        Whether the channels are samples of one color image.

    Raises
    ------
    ConfigError
        Noise that is the same in all channels, but not Gaussian.
    """
    if is_shared == "yes" and kind in ("poisson-gaussian", "rician"):
        raise ConfigError(
            f"noise.is_shared cannot be 'yes' where noise.kind is '{kind}': only gaussian noise is the same in all "
            "channels. Choose 'no' or 'gaussian'."
        )
    given = _Given(kind, sigma, gain, offset)
    model = _estimate(values, is_observed, given, correlation_length, is_shared, is_color)
    if has_impulses == "no":
        return _with_stable(model, values, is_observed, given)
    found = find_impulses(values, is_observed, model)
    share = found.sum() / max(1, is_observed.sum())
    if not share or (has_impulses == "auto" and share < MIN_IMPULSES):
        return _with_stable(model, values, is_observed, given)
    is_left = is_observed & ~found
    model = _estimate(values, is_left, given, correlation_length, is_shared, is_color)
    share = find_impulses(values, is_observed, model).sum() / is_observed.sum()
    return _with_stable(replace(model, impulses=float(share)), values, is_left, given)


def _with_stable(
    model: NoiseModel,
    values: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    given: _Given,
) -> NoiseModel:
    """Measure how much noise the stabilized image has, where nothing of it was given."""
    if model.kind == "gaussian" or given.sigma != "auto" or given.gain != "auto":
        return model
    channels = []
    for each, x, seen in zip(stabilizers(model), values, is_observed, strict=True):
        if isinstance(each, Unchanged):
            channels.append(StableNoise((0.0,), (each.noise_level**2,), each.noise_level))
            continue
        blocks = Blocks.of(each.forward(x), seen, model.correlation_length)
        if not len(blocks):
            return model
        curve = Curve.of(blocks)
        variance = np.minimum(curve.variance, np.maximum(MOST_STABLE, each.noise_variance(curve.mean)))
        level = float(np.sqrt(np.interp(blocks.mean, curve.mean, variance).mean()))
        if not level > 0:
            return model
        channels.append(StableNoise(tuple(curve.mean.tolist()), tuple(variance.tolist()), level))
    return replace(model, stable=tuple(channels))


@dataclass(frozen=True)
class _Given:
    kind: NoiseKind | Auto
    sigma: float | Auto
    gain: float | Auto
    offset: float | Auto


@dataclass(frozen=True)
class _Channel:
    """The noise of one channel."""

    kind: NoiseKind
    sigma: float
    gain: float = 0.0
    offset: float = 0.0
    clipped_low: float = 0.0
    clipped_high: float = 0.0


def _estimate(
    values: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    given: _Given,
    length: int | Auto,
    is_shared: YesNo,
    is_color: bool,
) -> NoiseModel:
    if length == "auto":
        length = measure_correlation(values, is_observed)
    n_channels = len(values)
    sharing = is_shared == "yes" or (
        is_shared == "auto"
        and is_color
        and given.kind in ("auto", "gaussian")
        and _share_noise(values, is_observed, length)
    )
    if sharing:
        given = replace(given, kind="gaussian")
        values, is_observed = values.mean(0, keepdims=True), np.asarray(is_observed.all(0))[np.newaxis]
    channels = [_channel(x, seen, length, given) for x, seen in zip(values, is_observed, strict=True)]
    kinds = {channel.kind for channel in channels if channel.sigma > 0 or channel.gain > 0}
    if (
        len(kinds) > 1
    ):  # one model has one kind; a channel without enough signal to tell takes part in what the others tell
        kind: NoiseKind = "poisson-gaussian" if "poisson-gaussian" in kinds else "gaussian"
        given = replace(given, kind=kind)
        channels = [_channel(x, seen, length, given) for x, seen in zip(values, is_observed, strict=True)]
    channels *= n_channels // len(channels)
    return NoiseModel(
        kind=next(iter(kinds)) if len(kinds) == 1 else channels[0].kind,
        sigma=tuple(channel.sigma for channel in channels),
        gain=tuple(channel.gain for channel in channels),
        offset=tuple(channel.offset for channel in channels),
        correlation_length=length,
        is_shared=sharing,
        clipped_low=float(np.mean([channel.clipped_low for channel in channels])),
        clipped_high=float(np.mean([channel.clipped_high for channel in channels])),
    )


def _share_noise(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], length: int
) -> bool:
    """Whether the differences of neighboring channels have hardly any noise, in higher and in lower frequencies."""
    for one, other, seen in zip(values, values[1:], is_observed[1:] & is_observed[:-1], strict=False):
        for spacing in (length, 3 * length):
            both, apart = Blocks.of(one + other, seen, spacing), Blocks.of(one - other, seen, spacing)
            if not len(both) or noise_variance(apart) > SHARED_SHARE * noise_variance(both):
                return False
    return len(values) > 1


def _channel(
    image: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"], spacing: int, given: _Given
) -> _Channel:
    blocks = Blocks.of(image, is_observed, spacing)
    if not len(blocks):
        return _Channel(
            given.kind if given.kind != "auto" else "gaussian", 0.0 if given.sigma == "auto" else given.sigma
        )
    whole = Curve.of(blocks)
    lowest = float(np.min(image[is_observed]))
    is_low, is_high = whole.at_low > CUT_SHARE, whole.at_high > CUT_SHARE
    has_cut = _is_cut_off(whole.take(~is_low & ~is_high), lowest)
    is_kept = _unless_empty(~is_high & ~(is_low & has_cut))
    curve = whole.take(is_kept)
    kind = given.kind
    if kind == "auto":
        if given.gain == "auto" and _is_rician(image[is_observed], whole.take(_unless_empty(~is_low)), blocks):
            kind = "rician"
        else:
            kind = "poisson-gaussian" if given.gain != "auto" or _grows(curve) else "gaussian"
    if kind == "rician":
        is_kept = _unless_empty(~is_low & ~is_high)
        curve = whole.take(is_kept)
    blocks = blocks.take(np.interp(blocks.mean, whole.mean, is_kept.astype(float)) > 0.5)
    channel = _of_kind(kind, given, curve, blocks)
    seen = image[is_observed]
    return replace(
        channel,
        clipped_low=float((seen == lowest).mean()) if has_cut and is_low.any() else 0.0,
        clipped_high=float((seen == seen.max()).mean()) if is_high.any() else 0.0,
    )


def _of_kind(kind: NoiseKind, given: _Given, curve: Curve, blocks: Blocks) -> _Channel:
    if kind == "poisson-gaussian":
        return _poisson_gaussian(given, curve)
    if given.sigma != "auto":
        return _Channel(kind, given.sigma)
    return _Channel(kind, _rician_sigma(curve) if kind == "rician" else float(np.sqrt(noise_variance(blocks))))


def _poisson_gaussian(given: _Given, curve: Curve) -> _Channel:
    slope = None if given.gain == "auto" else given.gain
    if given.sigma != "auto" and given.offset != "auto":
        line = fit_line(curve, slope, (given.offset, given.sigma**2))
    else:
        line = fit_line(curve, slope)
    gain = max(line.slope, 0.0)
    if not gain:
        return _Channel("poisson-gaussian", float(np.sqrt(max(line.intercept, 0.0))))
    if given.offset != "auto":
        in_dark = float(line.at(np.array([given.offset]))[0])
        sigma = given.sigma if given.sigma != "auto" else float(np.sqrt(max(in_dark, 0.0)))
        return _Channel("poisson-gaussian", sigma, gain, given.offset)
    if given.sigma != "auto":
        return _Channel("poisson-gaussian", given.sigma, gain, (given.sigma**2 - line.intercept) / gain)
    if line.intercept < 0:
        return _Channel("poisson-gaussian", 0.0, gain, -line.intercept / gain)
    return _Channel("poisson-gaussian", float(np.sqrt(line.intercept)), gain)


def _unless_empty(chosen: Bool[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    return chosen if chosen.sum() > 1 else np.ones_like(chosen)


def _is_cut_off(curve: Curve, lowest: float) -> bool:
    """Whether noise was cut off at the lowest value: from where it was not, its variance does not tend to zero there."""
    if len(curve.mean) < 3:
        return False
    line = fit_line(curve)
    at_lowest, typical = line.at(np.array([lowest, np.median(curve.mean)]))
    reach = float(curve.mean.mean()) - lowest
    return bool(at_lowest > 0.25 * typical and at_lowest > 3 * line.slope_error * reach)


def _grows(curve: Curve) -> bool:
    """Whether the variance clearly grows with the intensity, along a line."""
    if len(curve.mean) < 3:
        return False
    line: Line = fit_line(curve)
    first, last = line.at(curve.mean[[0, -1]])
    return bool(
        line.slope > MIN_SIGNIFICANCE * line.slope_error and last > MIN_GROWTH * first and line.misfit < MAX_MISFIT
    )


RAYLEIGH_MEAN, RAYLEIGH_VARIANCE = np.sqrt(np.pi / 2), 2 - np.pi / 2


def _is_rician(values: Float[np.ndarray, "n"], curve: Curve, blocks: Blocks) -> bool:
    """Whether the dark is Rayleigh distributed and what is bright has the variance that goes with it."""
    if values.min() < 0 or curve.variance[0] <= 0:
        return False
    sigma = float(np.sqrt(curve.variance[0] / RAYLEIGH_VARIANCE))
    is_bright = curve.mean > 3 * sigma
    n_below = [(values < limit * sigma).sum() - (values == 0).sum() for limit in (0.5, 1.0)]
    return bool(
        abs(curve.mean[0] / sigma / RAYLEIGH_MEAN - 1) < 0.05
        and (blocks.mean < 1.6 * sigma).mean() > 0.05
        and n_below[1] > 50
        and abs(n_below[0] / n_below[1] - 0.2987) < 0.04
        and is_bright.sum() >= 3
        and 0.75 < float(np.median(curve.variance[is_bright])) / sigma**2 < 1.35
    )


def _rician_sigma(curve: Curve) -> float:
    """Standard deviation with which the variance at each intensity is that of a Rice distribution with this mean."""
    amplitudes = np.linspace(0, 30, 600)
    means, variances = rice_mean(amplitudes), rice_variance(amplitudes)
    sigma = float(np.sqrt(curve.variance.max()))
    for _ in range(N_ROUNDS):
        if sigma <= 0:
            break
        expected = np.interp(curve.mean / sigma, means, variances)
        sigma = float(np.sqrt(max(0.0, fit_line(replace(curve, mean=expected), origin=(0.0, 0.0)).slope)))
    return sigma
