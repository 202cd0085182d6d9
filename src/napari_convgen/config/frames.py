"""Settings of stacks, whose frames are images of much the same: slices of a specimen, or a time lapse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import Field, model_validator

from napari_convgen.config.base import Auto, Settings


class FramesConfig(Settings):
    """Frames of a stack."""

    fit: Literal["auto", "separate", "joint"] = Field(
        "auto",
        title="Frames are",
        description="Way in which the frames of a stack are denoised: separate (each alone), joint (the non-local estimate looks for "
        "similar patches in the frames before and after too, along T or Z), or auto (joint where there is a non-local estimate, and the "
        "frames, or the tiles that they are fitted in, are planes of less than 1.4 million values). Slices along Z are fitted as one "
        "volume with z_axis = 'volume'.",
    )
    group: Auto | Annotated[int, Ge(1), Le(64)] = Field(
        "auto",
        title="Frames of a group",
        description="Largest number of frames whose non-local estimates are made together, with two frames before and two after: auto (8, "
        "or fewer where frames are large), or a number. More take more memory, and a little less time.",
    )
    start: Literal["fresh", "previous"] = Field(
        "fresh",
        title="Frames start",
        description="Start of the network of each frame of a stack: fresh, or previous (the network of the frame before at the step that "
        "was kept, with the state of the optimizer). Previous takes fewer steps where frames are alike; after a cut a frame starts "
        "afresh. It is for generators without a guide, and needs a patience of at least 100 steps.",
    )
    chain: Auto | Annotated[int, Ge(2), Le(10_000)] = Field(
        "auto",
        title="Frames of a chain",
        description="Number of frames in a row after which a network starts afresh, where networks start from the frame before. These "
        "chains are the pieces of a batch, and several are done at a time: auto (16), or a number.",
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_volume(cls, values: Any) -> Any:
        """Say where a volume is chosen: the meaning of an axis is no way to fit frames."""
        if isinstance(values, Mapping) and values.get("fit") == "volume":
            raise ValueError("fit cannot be 'volume': slices along Z are fitted as one volume with z_axis = 'volume'.")
        return values
