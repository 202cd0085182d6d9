"""Settings of the forward operators, which map an image to what is measured: one model a kind."""

from __future__ import annotations

from typing import Literal

from napari_convgen.config.base import Kind


class IdentityConfig(Kind):
    """Measurement of the image itself: denoising."""

    kind: Literal["identity"] = "identity"


OperatorConfig = IdentityConfig  # of several kinds: IdentityConfig | …
