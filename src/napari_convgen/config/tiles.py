"""Settings of the tiles that a large image is cut into."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import Field

from napari_convgen.config.base import Settings


class TilesConfig(Settings):
    """Tiles that a large image is cut into, each with a fit of its own."""

    size: Literal["auto", "whole"] | Annotated[int, Ge(16)] = Field(
        "auto",
        title="Tiles",
        description="Side of a tile in pixels, whole (no tiles), or auto (no tiles up to 724 × 724 pixels, and tiles of about 448 × 448 "
        "beyond; volumes are not cut).",
    )
    overlap: int = Field(
        32,
        ge=0,
        le=1024,
        title="Overlap of tiles",
        description="Number of pixels around a tile that are fitted with it and then cut off, so that no seams are seen.",
    )
