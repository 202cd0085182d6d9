"""A network that frames of a stack share."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators import Generator
from napari_convgen.core.generators.taught import TaughtNetwork
from napari_convgen.core.snapshot import Outcome


class SharedNetwork:
    """A network that learns from the guides of all frames of a group, as the first of them is fitted, and is shown each.

    Parameters
    ----------
    examples
        Guides of the members, of all frames.
    """

    def __init__(self, examples: Float[Tensor, "m n c *spatial"]) -> None:
        self._examples = examples
        self._learned: dict[str, Tensor] | None = None

    @property
    def has_learned(self) -> bool:
        """True once the fit of a frame has ended well."""
        return self._learned is not None

    def give(self, generator: Generator) -> None:
        """Let a frame's generator learn from all frames or, once this was done, begin with what was learned."""
        network = cast(TaughtNetwork, generator)
        network.learn_from(self._examples)
        if self._learned is not None:
            network.begin_learned(self._learned)

    def take(self, fit: Fit) -> None:
        """Take what the network of a fit that has ended has learned, unless it failed or others have learned before."""
        is_failed = fit.reason is not None and fit.reason.outcome in (Outcome.DIVERGED, Outcome.COLLAPSED)
        if self._learned is None and not is_failed:
            self._learned = cast(TaughtNetwork, fit.generator).learned()
