"""The non-local estimate of images that change little from one to the next, such as those of an iteration."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from napari_convgen.core.non_local.chain import N_SHARED_MATCHES, refine
from napari_convgen.core.non_local.estimate import as_volume, non_local_estimate


class PilotedEstimate:
    """A denoiser for which each estimate is the pilot of the next, so that one stage is enough: a tenth of the time.

    Parameters
    ----------
    groups
        Channels whose similar patches are at the same places, those of the first of them: ``[[0], [1]]`` for two that have nothing to do
        with each other.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        self.groups = [list(group) for group in groups]
        self._pilot: Tensor | None = None
        self._places: list[Int[Tensor, "g k"] | None] = [None] * len(self.groups)
        self._n_calls = 0

    def __call__(self, values: Float[Tensor, "c *spatial"], level: float) -> Float[Tensor, "c *spatial"]:
        """Denoise an image; the first takes all stages.

        Parameters
        ----------
        values
            Image with one to three spatial axes.
        level
            Standard deviation of its white noise, above 0, the same in all channels.
        """
        if self._pilot is None:
            self._pilot = self._first(values, level)
            return self._pilot
        if self._n_calls % N_SHARED_MATCHES == 0:
            self._places = [None] * len(self.groups)
        self._n_calls += 1
        estimate, shape = values.clone(), as_volume(values)
        for number, group in enumerate(self.groups):
            noisy, pilot = (x[group].reshape(len(group), *shape) / level for x in (values, self._pilot))
            refined, self._places[number] = refine(noisy, pilot, values.ndim - 1, self._places[number])
            estimate[group] = level * refined.view(len(group), *values.shape[1:])
        self._pilot = estimate
        return estimate

    def _first(self, values: Float[Tensor, "c *spatial"], level: float) -> Float[Tensor, "c *spatial"]:
        estimate = values.clone()
        for group in self.groups:
            estimate[group] = non_local_estimate(values[group], values.new_full((len(group),), level), is_joint=True)
        return estimate
