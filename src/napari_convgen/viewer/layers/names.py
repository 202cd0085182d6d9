"""Changes of the names by which a layer is chosen."""

from __future__ import annotations

from typing import Any


def name_events(layers: Any) -> tuple[Any, ...]:
    """Return the events at which names come, go or change.

    napari 0.6 does not tell that a layer was renamed: there, a new name is offered from the next layer on that comes or goes.

    Parameters
    ----------
    layers
        Layer list of a viewer.
    """
    events = layers.events
    return tuple(getattr(events, name) for name in ("inserted", "removed", "renamed") if hasattr(events, name))
