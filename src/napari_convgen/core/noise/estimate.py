"""The noise of an image, estimated from the image alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.band_limit import band_limit
from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.channel import Channel
from napari_convgen.core.noise.estimation.checkerboard import measure_checkerboard, without_checkerboard
from napari_convgen.core.noise.estimation.correlation import LIMITED
from napari_convgen.core.noise.estimation.correlation import correlation_length as measure_correlation
from napari_convgen.core.noise.estimation.impulses import find_impulses
from napari_convgen.core.noise.estimation.interference import count_waves, without_waves
from napari_convgen.core.noise.estimation.level import find_level_map
from napari_convgen.core.noise.estimation.stable import measure_stable
from napari_convgen.core.noise.estimation.stripes import measure_stripes, without_stripes
from napari_convgen.core.noise.estimation.variance import noise_variance
from napari_convgen.core.noise.models import NOISE_MODELS, NoiseModel
from napari_convgen.core.noise.models.base import REMOVED, Settings, given
from napari_convgen.errors import ConfigError

Auto = Literal["auto"]
YesNo = Literal["auto", "yes", "no"]
AutoOrYes = Literal["auto", "yes"]
Kind = type[NoiseModel]

SHARED_SHARE = 0.06
"""Largest variance of the noise in the channels' differences, relative to that in their sums, of channels that have the same noise.
Chosen on the tuning images of benchmarks/noise.py."""

SHARED_SPACINGS = (1, 3)
"""Distances between pixels at which that is compared, in correlation lengths: noise in higher and in lower frequencies."""

MOST_OF_MAGNITUDES = 3
"""Largest correlation length, in pixels, of noise that is recognized as that of magnitudes: scans that were interpolated to twice as many
pixels have it. At larger ones, out-of-focus light of a wide-field image was taken for it. Our choice, no benchmark."""

LIMITED_MAGNITUDES = 2.4
"""Least ratio of the energy just below a limit of the frequencies to that beyond with which magnitudes have one: that of white noise is
1.4 at most, that of magnitudes of a limited image 2.5 to 5. Our choice, on scans by formula."""

CLEARLY_LESS = 0.8
"""Largest ratio of what maps of the noise's level leave with two kinds of noise with which the kind that is less simple is taken.
Our choice, no benchmark."""

MIN_IMPULSES = 1e-3
"""Share of the values below which impulses are taken for structure, unless they are asked for.
Chosen on the tuning images of benchmarks/noise.py."""


def estimate_noise(
    values: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    *,
    kind: str = "auto",
    correlation_length: int | Auto = "auto",
    is_shared: YesNo = "auto",
    has_impulses: YesNo = "auto",
    has_stripes: YesNo = "auto",
    has_interference: Literal["no", "yes"] = "no",
    is_uniform: AutoOrYes = "auto",
    is_color: bool = False,
    **settings: float | Auto,
) -> NoiseModel:
    """Estimate what is ``"auto"`` from an image, and take the rest as it is given.

    Small blocks are sorted by intensity, and the variance is measured in the flattest ones of each interval, see `Channel`. The kind of
    noise is the first of `NOISE_MODELS` that recognizes itself in these variances, and estimates its parameters from them.

    Parameters
    ----------
    values
        Noisy values, channels first, in the image's units.
    is_observed
        False where a value is missing.
    kind
        Kind of noise, one of `NOISE_MODELS`, or ``"auto"``, the default.
    correlation_length
        Distance in pixels from which on the noise of two pixels is independent.
    is_shared
        ``"yes"`` if all channels have the very same noise; ``"auto"`` looks at colors only.
    has_impulses
        ``"yes"`` if single pixels may have no relation to their neighbors; ``"auto"`` takes them for structure if they are few.
    has_stripes
        ``"yes"`` if all pixels of a row, or of a column, may have an offset in common; ``"auto"`` looks whether they do, or every other
        pixel has.
    has_interference
        ``"yes"`` to take away waves that cover the image evenly; default ``"no"``: they can be a lattice of the specimen.
    is_uniform
        ``"yes"`` if the noise is equally strong everywhere; ``"auto"`` looks whether it is.
    is_color
        True if the channels are samples of one color image.
    settings
        Parameters of the kind of noise, for all channels, such as ``sigma``, ``gain`` and ``offset`` in the image's units; those of other
        kinds are passed over.

    Raises
    ------
    ConfigError
        Noise that is the same in all channels, of a kind that cannot be.
    ValueError
        A kind that there is not.
    TypeError
        Settings that no kind of noise has.
    """
    kinds = _kinds(kind, is_shared)
    if unknown := set(settings).difference(*(each.parameters() for each in NOISE_MODELS.values())):
        raise TypeError(f"No kind of noise has the settings {', '.join(sorted(unknown))}.")
    n_waves = count_waves(values, is_observed) if has_interference == "yes" else 0
    values = without_waves(values, is_observed, n_waves)
    checkerboard = measure_checkerboard(values, is_observed) if has_stripes != "no" else ()
    values = without_checkerboard(values, checkerboard)
    stripes = measure_stripes(values, is_observed, has_stripes)
    values = without_stripes(values, is_observed, stripes)
    wanted = _Wanted(kinds, settings, correlation_length, is_shared, is_uniform, is_color)
    model = wanted.estimate(values, is_observed)
    model = replace(model, stripes=stripes, checkerboard=checkerboard, n_waves=n_waves)
    if has_impulses != "no":
        model, is_observed = _leave_out_impulses(wanted, model, values, is_observed, has_impulses == "yes")
    is_given = [given(settings, name) is not None for name in model.strengths]
    model = replace(model, is_given=all(is_given))
    if not model.is_signal_dependent or any(is_given):
        return model
    stable = [each.forward(x) for each, x in zip(model.stabilizers_of(values.shape[1:]), values, strict=True)]
    return replace(model, stable=measure_stable(model.stabilizers(), stable, is_observed, model.correlation_length))


def _leave_out_impulses(
    wanted: _Wanted,
    model: NoiseModel,
    values: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    is_sure: bool,
) -> tuple[NoiseModel, Bool[np.ndarray, "c *spatial"]]:
    """Estimate the noise anew without impulses, unless they are few and it is not sure that there are any; return it and what is left."""
    found = find_impulses(values, is_observed, model.stabilizers_of(values.shape[1:]))
    share = found.sum() / max(1, is_observed.sum())
    if not share or (not is_sure and share < MIN_IMPULSES):
        return model, is_observed
    is_left = is_observed & ~found
    removed = {name: getattr(model, name) for name in REMOVED}
    model = replace(wanted.estimate(values, is_left), **removed)
    found = find_impulses(values, is_observed, model.stabilizers_of(values.shape[1:]))
    share = found.sum() / is_observed.sum()
    return replace(model, impulses=float(share)), is_left


def _kinds(kind: str, is_shared: YesNo) -> tuple[Kind, ...]:
    """Return the kinds of noise that are asked for."""
    if kind != "auto" and kind not in NOISE_MODELS:
        raise ValueError(f"kind must be 'auto' or one of {', '.join(NOISE_MODELS)}, got '{kind}'.")
    kinds = tuple(NOISE_MODELS.values()) if kind == "auto" else (NOISE_MODELS[kind],)
    if is_shared == "yes" and not _sharable(kinds):
        can_be = [each.kind for each in _sharable(NOISE_MODELS.values())]
        raise ConfigError(
            f"noise.is_shared cannot be 'yes' where noise.kind is '{kind}': only {' or '.join(can_be)} noise is the same in all "
            f"channels. Choose 'no' or {' or '.join(map(repr, can_be))}."
        )
    return kinds


def _sharable(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    return tuple(each for each in kinds if each.can_be_shared)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is asked of an image's noise, impulses apart.

    Attributes
    ----------
    kinds
        Kinds of noise that are tried, in this order; the last one takes any image.
    settings
        Parameters that are given.
    correlation_length, is_shared, is_uniform, is_color
        Arguments of `estimate_noise`.
    """

    kinds: tuple[Kind, ...]
    settings: Settings
    correlation_length: int | Auto
    is_shared: YesNo
    is_uniform: AutoOrYes
    is_color: bool

    def estimate(
        self, values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
    ) -> NoiseModel:
        """Estimate the noise of all channels."""
        length, n_channels, kinds = self.correlation_length, len(values), self.kinds
        if length == "auto":
            length = self._measure_length(values, is_observed)
        if length > MOST_OF_MAGNITUDES:
            kinds = tuple(each for each in kinds if not each.is_of_magnitudes) or kinds
        sharable = _sharable(kinds)
        is_shared = self.is_shared == "yes" or bool(
            self.is_shared == "auto" and self.is_color and sharable and _share_noise(values, is_observed, length)
        )
        if is_shared:
            kinds = sharable
            values, is_observed = values.mean(0, keepdims=True), np.asarray(is_observed.all(0))[np.newaxis]
        measured = [Channel.of(x, seen, length) for x, seen in zip(values, is_observed, strict=True)]
        channels = [_estimate_channel(each, kinds, self.settings) for each in measured]
        found = {type(each) for each in channels if each.has_noise}
        kind = next(iter(found)) if len(found) == 1 else type(channels[0])
        if len(found) > 1:
            # One model has one kind. A channel without enough signal to show its kind takes the kind that others show.
            kind = next((each for each in kinds if each in found and not each.is_of_all_channels), kinds[-1])
            channels = [_estimate_channel(each, (kind,), self.settings) for each in measured]
        model = kind.of_channels(channels, correlation_length=length, is_shared=is_shared)
        if length == 1 and self.is_uniform == "auto" and model.has_noise:
            # What differs by place can look as if it differed by intensity, where one side is brighter, or hide that it does.
            model = self._leveled(model, measured, values, is_observed)
        return model.repeated(n_channels // len(measured))

    def _measure_length(
        self, values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
    ) -> int:
        """Return the correlation length, that of magnitudes with a limit of the frequencies included, which is less sharp for these."""
        length, of_magnitudes = measure_correlation(values, is_observed), [k for k in self.kinds if k.is_of_magnitudes]
        if length > 1 or not of_magnitudes or band_limit(values, is_observed) < LIMITED_MAGNITUDES:
            return length
        channels = [Channel.of(x, seen, LIMITED) for x, seen in zip(values, is_observed, strict=True)]
        is_recognized = all(each and any(kind.recognizes(each) for kind in of_magnitudes) for each in channels)
        return LIMITED if is_recognized else length

    def _leveled(
        self,
        model: NoiseModel,
        measured: Sequence[Channel | None],
        values: Float[np.ndarray, "c *spatial"],
        is_observed: Bool[np.ndarray, "c *spatial"],
    ) -> NoiseModel:
        """Return white noise that is stronger in some places, of the kind with which that explains the image best, or nearly so.

        Where the noise is the same everywhere, or its strength is given, the model is returned.
        """
        best, least_left = model, np.inf
        for kind in reversed(self.kinds):
            is_given = any(given(self.settings, name) is not None for name in kind.strengths)
            if is_given or not kind.can_be_leveled or kind.is_of_magnitudes != model.is_of_magnitudes:
                continue
            channels = [_estimate_channel(each, (kind,), self.settings) for each in measured]
            plain = kind.of_channels(channels, correlation_length=1, is_shared=model.is_shared)
            found = find_level_map(values, is_observed, plain.stabilizers()) if plain.has_noise else None
            if found is not None and found.left < CLEARLY_LESS * least_left:
                least_left = found.left
                best = replace(plain.multiplied(found.least), level_map=found.level_map)
        return best


def _estimate_channel(channel: Channel | None, kinds: Sequence[Kind], settings: Settings) -> NoiseModel:
    """Estimate the noise of one channel, of the kind that it shows; ``None`` stands for a channel that is too small."""
    if channel is None:
        return kinds[-1].unmeasured(settings)
    model = _choose(channel, kinds, settings).estimate(channel, settings)
    return replace(model, clipped_low=channel.clipped_low, clipped_high=channel.clipped_high)


def _choose(channel: Channel, kinds: Sequence[Kind], settings: Settings) -> Kind:
    """Return the kind that the settings imply, or else the first that recognizes itself; the last one without asking."""
    for kind in kinds[:-1]:
        own = [name for name in kind.strengths if name not in NoiseModel.strengths]
        if any(given(settings, name) is not None for name in own):
            return kind
    return next((kind for kind in kinds[:-1] if kind.recognizes(channel)), kinds[-1])


def _share_noise(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], length: int
) -> bool:
    """Return True if the differences of neighboring channels have hardly any noise, in higher and in lower frequencies."""
    for one, other, seen in zip(values, values[1:], is_observed[1:] & is_observed[:-1], strict=False):
        for spacing in SHARED_SPACINGS:
            both, apart = (Blocks.of(x, seen, spacing * length) for x in (one + other, one - other))
            if not len(both) or noise_variance(apart) > SHARED_SHARE * noise_variance(both):
                return False
    return len(values) > 1
