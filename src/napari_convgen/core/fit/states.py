"""Saved states of a fit that it can return to, most of them close to the step that is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.fit.optimizers import Optimizer

MAX_STATES, MAX_BYTES = 16, 2**26
"""Largest number of saved states, and of their bytes together; two states are always kept.

Chosen so that few steps are computed again after a fit goes back, and that the states of a small generator take 64 MiB at most."""


@dataclass(frozen=True, eq=False)
class _State:
    """Copies of the weights of the generator, of what the optimizer remembers and of the running averages after a step."""

    generator: dict[str, Any]
    optimizer: list[Tensor]
    averages: Tensor


@dataclass(frozen=True, eq=False)
class FitState:
    """Weights of a generator and state of its optimizer, from which another fit can start.

    Attributes
    ----------
    weights
        Weights by their names.
    optimizer
        What the optimizer remembers, such as the moments of Adam.
    averages
        Running averages of the members' images.
    """

    weights: dict[str, Tensor]
    optimizer: list[Tensor]
    averages: Float[Tensor, "m c *size"]


class StateRing:
    """Saves and restores the state of a fit: the generator's weights, what the optimizer remembers and the running averages.

    Restored values are copied in place, so that a captured step (see `CapturedStep`) uses them too.

    Parameters
    ----------
    generator
        Generator that is fitted.
    optimizer
        Optimizer of the generator's parameters.
    averages
        Running averages of the generator's outputs.
    """

    def __init__(self, generator: nn.Module, optimizer: Optimizer, averages: Tensor) -> None:
        self.generator = generator
        self.optimizer = optimizer
        self.averages = averages
        self._states: dict[int, _State] = {}

    @property
    def steps(self) -> list[int]:
        """Steps whose states are kept."""
        return list(self._states)

    def save(self, step: int, around: int) -> None:
        """Save the current state; remove others beyond the limits.

        Those that remain are close together around one step and sparse elsewhere.

        Parameters
        ----------
        step
            Number of steps that the fit has taken, from 1.
        around
            Step that the fit would keep now, from 1.
        """
        state = _State(
            {name: _copy(value) for name, value in self.generator.state_dict().items()},
            [tensor.clone() for tensor in self.optimizer.memory],
            self.averages.clone(),
        )
        self._states[step] = state
        room = min(MAX_STATES, max(2, MAX_BYTES // _n_bytes(state)))
        while len(self._states) > room:
            del self._states[self._least_missed(around)]

    def _least_missed(self, around: int) -> int:
        """Return the step to remove, never the first or last: its neighbors are closest together for its distance from ``around``."""
        steps = self.steps
        gaps = {
            here: math.log(after / before) for before, here, after in zip(steps, steps[1:], steps[2:], strict=False)
        }
        return min(gaps, key=lambda s: gaps[s] / (1 + 4 * abs(math.log(s / around))), default=steps[0])

    def latest(self, step: int) -> int:
        """Return the latest saved step that is not after ``step``."""
        return max(s for s in self._states if s <= step)

    def restore(self, step: int) -> int:
        """Restore the latest state that is not after ``step``, remove later ones, and return its step."""
        found = self.latest(step)
        state = self._states[found]
        self._states = {s: kept for s, kept in self._states.items() if s <= found}
        self.generator.load_state_dict(state.generator)
        self.optimizer.restore(state.optimizer)
        self.averages.copy_(state.averages)
        return found


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _n_bytes(state: _State) -> int:
    tensors = [*(v for v in state.generator.values() if isinstance(v, Tensor)), *state.optimizer, state.averages]
    return max(1, sum(tensor.nbytes for tensor in tensors))
