"""What every model of an image's noise is and can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.columns import as_column
from napari_convgen.core.noise.estimation.channel import Channel
from napari_convgen.core.noise.estimation.checkerboard import without_checkerboard
from napari_convgen.core.noise.estimation.interference import without_waves
from napari_convgen.core.noise.estimation.level import LevelMap, level_noise
from napari_convgen.core.noise.estimation.stripes import without_stripes
from napari_convgen.core.noise.stabilizer import Stabilizer, StableNoise

Settings = Mapping[str, float | Literal["auto"]]
"""Parameters of a model by name, as a user gives them; ``"auto"`` or a missing one is estimated."""


REMOVED = ("stripes", "checkerboard", "n_waves")
"""Fields of a model that say what is taken from the values before the noise is measured."""

OF_FRAME = (*REMOVED, "impulses", "clipped_low", "clipped_high")
"""Fields of a model that hold for one frame alone, though all frames of a stack have the same noise."""


def given(settings: Settings, name: str) -> float | None:
    """Return the parameter that a user has given, or ``None`` if it is to be estimated."""
    value = settings.get(name, "auto")
    return None if value == "auto" else value


@dataclass(frozen=True)
class NoiseModel(ABC):
    """The noise of an image: how far a pixel lies from its clean value, in the image's own units.

    A new kind of noise is a subclass with a line in `napari_convgen.core.noise.models.NOISE_MODELS`. Its positional fields are its
    parameters, one number a channel each; a user's settings have the same names.

    Attributes
    ----------
    kind
        Name of the kind of noise, as in a configuration.
    sigma
        Standard deviation of the part that does not depend on the signal, in the image's units; one a channel.
    stable
        Measured noise of each stabilized channel; ``None`` takes the theory's.
    correlation_length
        Distance in pixels from which on the noise of two pixels is independent; 1 for white noise.
    is_shared
        True if all channels have the very same noise.
    clipped_low, clipped_high
        Share of the values at the image's minimum and maximum, where the noise was cut off; 0 unless it was.
    impulses
        Share of the values without relation to their neighbors: salt and pepper, hot pixels.
    stripes
        Standard deviation of the offsets that the pixels of a row have in common, and of those of a column, in the image's units; they are
        taken from the values. 0 where there are none.
    checkerboard
        Offset of every other pixel, in rows and columns alike, one a channel; it is taken from the values. Empty where there is none.
    n_waves
        Number of waves of interference in all planes together, see `find_waves`; they are taken from the values.
    level_map
        Level of the noise at each place, relative to that where it is weakest, which the parameters are of; ``None`` if it is the same
        everywhere.
    is_given
        True if a user gave all parameters that say how strong the noise is.
    """

    strengths: ClassVar[tuple[str, ...]] = ("sigma",)
    """Parameters that say how strong the noise is. Where one is given, the strength is not measured again; one that no other kind has
    chooses this kind where none is named."""

    can_be_shared: ClassVar[bool] = False
    """True if all channels of an image can have the very same noise of this kind."""

    is_of_all_channels: ClassVar[bool] = False
    """True if no channel of an image has such noise where another channel has noise of another kind."""

    is_of_magnitudes: ClassVar[bool] = False
    """True if values with such noise are not negative."""

    can_be_leveled: ClassVar[bool] = True
    """True if such noise is looked for that is stronger in some places."""

    is_signal_dependent: ClassVar[bool] = True
    """True if the variance depends on the clean value, so that the noise is stabilized."""

    kind: str = field(init=False, default="")
    sigma: tuple[float, ...]
    _: KW_ONLY
    stable: tuple[StableNoise, ...] | None = None
    correlation_length: int = 1
    is_shared: bool = False
    clipped_low: float = 0.0
    clipped_high: float = 0.0
    impulses: float = 0.0
    stripes: tuple[float, float] = (0.0, 0.0)
    checkerboard: tuple[float, ...] = ()
    n_waves: int = 0
    level_map: LevelMap | None = None
    is_given: bool = False

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in self.parameters()}
        if len(set(lengths.values())) > 1:
            got = ", ".join(f"{name}: {n}" for name, n in lengths.items())
            raise ValueError(f"All parameters of a model of noise must have one number a channel, got {got}.")

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Return the names of the fields that have one number a channel."""
        return tuple(each.name for each in fields(cls) if each.init and not each.kw_only)

    @classmethod
    def unmeasured(cls, settings: Settings) -> Self:
        """Return the noise of one channel in which none can be measured: the parameters that are given, 0 in the place of others."""
        known: dict[str, Any] = {name: (given(settings, name) or 0.0,) for name in cls.parameters()}
        return cls(**known)

    @classmethod
    def of_channels(cls, channels: Sequence[NoiseModel], *, correlation_length: int, is_shared: bool) -> Self:
        """Join models of one channel each.

        Parameters
        ----------
        channels
            Noise of each channel; one of another kind must be without noise.
        correlation_length, is_shared
            Attributes of all channels together.
        """
        own = [each if isinstance(each, cls) else cls.unmeasured({}) for each in channels]
        numbers: dict[str, Any] = {name: tuple(getattr(each, name)[0] for each in own) for name in cls.parameters()}
        return cls(
            **numbers,
            correlation_length=correlation_length,
            is_shared=is_shared,
            clipped_low=float(np.mean([channel.clipped_low for channel in channels])),
            clipped_high=float(np.mean([channel.clipped_high for channel in channels])),
        )

    @classmethod
    @abstractmethod
    def recognizes(cls, channel: Channel) -> bool:
        """Return True if a channel shows noise of this kind, and of none that the table has before it."""

    @classmethod
    @abstractmethod
    def estimate(cls, channel: Channel, settings: Settings) -> Self:
        """Estimate the noise of one channel.

        Parameters
        ----------
        channel
            Measured variances.
        settings
            Parameters that are given.
        """

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.sigma)

    @property
    def has_noise(self) -> bool:
        """True if any channel has noise."""
        return max(self.sigma) > 0

    @abstractmethod
    def variance(self, x: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the variance of pixels whose clean values are ``x``, in the image's units squared.

        Parameters
        ----------
        x
            Clean values, channels first, in the image's units.
        """

    def clean_of_mean(self, mean: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the clean values of which noisy ones have these means, which are the means themselves unless the noise raises them.

        Parameters
        ----------
        mean
            Means of noisy values, channels first, in the image's units.
        """
        return mean

    @abstractmethod
    def stabilizers(self) -> tuple[Stabilizer, ...]:
        """Return a transform for each channel that makes the variance the same everywhere."""

    def stabilizers_of(self, shape: Sequence[int]) -> tuple[Stabilizer, ...]:
        """Return a transform for each channel that makes the variance the same at all pixels of an image of this spatial shape."""
        return level_noise(self.stabilizers(), self.level_map, shape)

    def variance_in(self, image: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the variance at each pixel of a clean image, channels first, in the image's units squared."""
        return np.asarray(self.variance(image) * self.level_in(image) ** 2)

    def level_in(self, image: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "*spatial"]:
        """Return the level of the noise at each pixel of an image, channels first, relative to that where it is weakest."""
        shape = image.shape[1:]
        return np.ones(shape) if self.level_map is None else self.level_map.at(shape)

    def repeated(self, n: int) -> Self:
        """Return the noise of ``n`` times as many channels."""
        changes: dict[str, Any] = {name: n * getattr(self, name) for name in self.parameters()}
        if self.level_map is not None:
            changes["level_map"] = replace(self.level_map, centers=n * self.level_map.centers)
        return replace(self, **changes)

    def of_frame(self, frame: NoiseModel) -> Self:
        """Return this noise with what is particular to a frame, such as its stripes, whose own model is ``frame``."""
        return replace(self, **{name: getattr(frame, name) for name in OF_FRAME})

    def without_artifacts(
        self, values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
    ) -> Float[np.ndarray, "c *spatial"]:
        """Return the noisy values of an image without the waves, the checkerboard and the stripes that are part of its noise.

        Parameters
        ----------
        values
            Noisy values, channels first, in the image's units.
        is_observed
            False where a value is missing.
        """
        values = without_waves(values, is_observed, self.n_waves)
        return without_stripes(without_checkerboard(values, self.checkerboard), is_observed, self.stripes)

    def multiplied(self, factor: float) -> Self:
        """Return noise that is stronger by a factor."""
        return replace(self, sigma=tuple(factor * sigma for sigma in self.sigma))

    def check(self, values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> None:
        """Refuse an image with values that such noise does not have; noise of most kinds has any.

        Parameters
        ----------
        values
            Noisy values, channels first, in the image's units.
        is_observed
            False where a value is missing.

        Raises
        ------
        InputError
            There are such values.
        """
        return

    def least(self, low: Float[np.ndarray, "c"]) -> Float[np.ndarray, "c"]:
        """Return the lower limit of restored images, one a channel.

        Parameters
        ----------
        low
            Minimum of each channel's noisy values, which is the limit unless the noise raises all values.
        """
        return low

    @property
    def has_counts(self) -> bool:
        """True if the noise is that of counting events, in every channel."""
        return False

    def counts(self, values: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return noisy values in detected events, which are Poisson distributed, approximately; see `has_counts`."""
        raise TypeError(f"Noise of the kind '{self.kind}' counts no events.")

    def from_counts(
        self, counts: Float[np.ndarray, "c *spatial"], share: float = 1.0
    ) -> Float[np.ndarray, "c *spatial"]:
        """Return the values of detected events, in the image's units; see `has_counts`.

        Parameters
        ----------
        counts
            Detected events, of which each was kept with the probability ``share``.
        share
            Share of the events that was kept. Stabilized, the values have the same mean as with all events, to second order, and
            ``1 / sqrt(share)`` times the noise.
        """
        raise TypeError(f"Noise of the kind '{self.kind}' counts no events.")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else there is to say of noise of this kind; nothing of most."""
        return ()

    @property
    def untold(self) -> str:
        """Sentence on why the quality of a denoised image cannot be told; empty if it can."""
        return ""

    @property
    def sentence(self) -> str:
        """Kind and parameters in words."""
        return f"{self.kind.capitalize()} noise of standard deviation {per_channel(self.sigma)}"

    def __str__(self) -> str:
        """Return a sentence with all that is known."""
        length = self.correlation_length
        if not self.has_noise:
            return "No noise was found"
        notes = [
            self.sentence + (", the same in all channels" if self.is_shared else ""),
            "white" if length == 1 else f"noise correlation length {length} pixels",
        ]
        if clipped := self.clipped_low + self.clipped_high:
            notes.append(f"{_percent(clipped)} of the pixels saturated")
        if self.impulses:
            notes.append(f"{_percent(self.impulses)} of the pixels are impulses")
        if self.level_map is not None:
            where = "tiles" if any(self.level_map.borders) else "places"
            notes.append(f"up to {self.level_map.ratio:.1f} times as strong in other {where}")
        for lines, strength in zip(("rows", "columns"), self.stripes, strict=True):
            if strength:
                notes.append(f"{lines} with offsets of standard deviation {per_channel((strength,))}, taken away")
        if self.checkerboard:
            notes.append(f"every other pixel with an offset of {per_channel(self.checkerboard)}, taken away")
        notes += self.remarks
        if self.n_waves:
            notes.append(f"{self.n_waves} {'wave' if self.n_waves == 1 else 'waves'} of interference, taken away")
        return "; ".join(notes)

    def column(self, name: str, n_axes: int) -> Float[np.ndarray, "..."]:
        """Return a parameter as an array that broadcasts against images of ``n_axes``, channels first."""
        return as_column(np.array(getattr(self, name)), n_axes)


def per_channel(values: tuple[float, ...]) -> str:
    """Write one number a channel, or a single one if all are the same."""
    texts = [f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}" for value in values]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
