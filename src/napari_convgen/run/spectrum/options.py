"""Options of a spectrum, checked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from napari_convgen.core.spectra.jacobian import GROUPS, Group
from napari_convgen.errors import ConfigError, mismatch


def check_steps(at_steps: Sequence[int]) -> tuple[int, ...]:
    """Return steps of a fit in order, each once.

    Raises
    ------
    ConfigError
        No step, or a step below 0.
    """
    steps = tuple(sorted(set(at_steps)))
    if not steps or steps[0] < 0:
        raise ConfigError(f"at_steps must be whole numbers from 0, at least one, got {list(at_steps)}.")
    return steps


def check_groups(groups: Collection[Group]) -> tuple[Group, ...]:
    """Return groups of parameters in order, each once.

    Raises
    ------
    ConfigError
        No group, or one that does not exist.
    """
    unknown = [group for group in groups if group not in GROUPS]
    if unknown or not groups:
        raise ConfigError(f"groups must be some of {', '.join(GROUPS)}, at least one, got {list(groups)}.")
    return tuple(group for group in GROUPS if group in groups)


def check_rank(rank: int, n_values: int, n_parameters: int) -> int:
    """Return a number of singular vectors, at least 1 and at most ``n_values`` and ``n_parameters``.

    Raises
    ------
    ConfigError
        Another number.
    """
    if not 1 <= rank <= min(n_values, n_parameters):
        raise ConfigError(
            mismatch(
                "rank must not exceed the number of parameters, or that of the observed values less what constant images measure",
                expected=f"1 to {min(n_values, n_parameters)}",
                got=rank,
                advice="Ask for fewer singular vectors.",
            )
        )
    return rank
