"""What a generator is fitted to beside a measurement that is no image, such as k-space: noise of its norm, and it with noise added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.spectra.centering import as_real, from_real
from napari_convgen.errors import InputError
from napari_convgen.run.image_vs_noise.config import NoiseShape, TargetsConfig
from napari_convgen.run.image_vs_noise.targets import ADDED_NOISE_SOURCE, NOISE_SOURCE, Target, source_of
from napari_convgen.run.reconstruct.entries import Entries
from napari_convgen.run.reconstruct.look import Look


@dataclass(frozen=True, eq=False)
class EntryTarget(Target):
    """The target of a fit to the entries of a measurement, which may be complex.

    Attributes
    ----------
    energy
        Mean square of the observed entries, without what constant images would measure.
    """

    energy: float = 0.0

    @property
    def variance(self) -> float:
        """Mean square of the observed entries, without what constant images would measure."""
        return self.energy

    @property
    def unreachable(self) -> float:
        """Share of the variance that the generator's range keeps out of reach: that of such entries is not known, so 0."""
        return 0.0


def build_entry_targets(
    look: Look, reference: Float[np.ndarray, "c *spatial"] | None, config: TargetsConfig, seed: int
) -> Iterator[EntryTarget]:
    """Go through the targets: the measurement, noise of its norm, and the measurement with noise added, if there is any.

    Parameters
    ----------
    look
        The checked measurement.
    reference
        Ground truth of the reconstruction, channels first; ``None`` if there is none.
    config
        Settings of the targets. The noise lies around what constant images would measure (``mean`` is ``"removed"``), or it has the norm of
        the whole measurement (``"kept"``).
    seed
        Seed of the noise.

    Raises
    ------
    InputError
        Noise is to be added to channels with different units.
    """
    problem = look.problem()
    entries = Entries(problem, measures_image=False)
    y, seen = as_real(problem.measurement), (problem.weights > 0).cpu().numpy()

    def target(name: str, values: Tensor, clean: Float[np.ndarray, "c *spatial"] | None = None) -> EntryTarget:
        energy = float(entries.centered(values).double().square().sum()) / int(seen.sum())
        own = from_real(values, problem.measurement.is_complex()).cpu().numpy()
        return EntryTarget(name, own, seen, clean, energy)

    def draw(shape: NoiseShape, number: int) -> Tensor:
        rng = source_of(seed, number)
        drawn = rng.uniform(-(3**0.5), 3**0.5, y.shape) if shape == "uniform" else rng.normal(size=y.shape)
        return torch.from_numpy(drawn).to(y)

    yield target("image", y, reference)
    noise = draw(config.noise, NOISE_SOURCE)
    if config.mean == "kept":
        seen_noise = entries.is_observed * noise
        yield target("noise", seen_noise * (_norm(entries.is_observed * y) / _norm(seen_noise)))
    else:
        flat, noise = entries.is_observed * y - entries.image, entries.centered(noise)
        yield target("noise", flat + noise * (_norm(entries.image) / _norm(noise)))
    if config.added_noise:
        assert look.posed is not None
        unit = look.posed.measurement_unit
        if unit is None:
            raise InputError("Noise cannot be added to channels with different units. Leave added_noise out.")
        added = draw("gaussian", ADDED_NOISE_SOURCE) * (config.added_noise / unit)
        yield target("added noise", y + entries.is_observed * added, reference)


def _norm(values: Float[Tensor, "*entries"]) -> float:
    return float(values.double().norm())
