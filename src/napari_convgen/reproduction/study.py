"""What a study of the paper takes and gives.

A study is a function that takes a `Setting` and returns `Findings`; it is named in `napari_convgen.reproduction.STUDIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from napari_convgen.figures.panel import Panel


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and what comes out here.

    Attributes
    ----------
    paper
        What the paper or its code says: "noise takes more than 100 times the steps to half the loss".
    ours
        What we get, with its unit.
    tolerance
        When the two agree, in words.
    agrees
        Whether they do.
    because
        Why they do not, or what qualifies the agreement; empty if there is nothing to say.
    """

    paper: str
    ours: str
    tolerance: str
    agrees: bool
    because: str = ""


@dataclass(frozen=True, eq=False)
class Findings:
    """What a study found.

    Attributes
    ----------
    claims
        Checked.
    panels
        Of the picture, like the paper's.
    numbers
        All that the claims were made of, as JSON can write it.
    notes
        What differs from the paper's setting: smaller nets, other images, fewer steps.
    """

    claims: Sequence[Claim]
    panels: Sequence[Panel]
    numbers: Mapping[str, Any]
    notes: Sequence[str] = ()


class Tell(Protocol):
    """Is told what a study is at, and which share of it is done if that is known."""

    def __call__(self, what: str, share: float | None = None) -> None:
        """Take a line of words, and the share of the study."""
        ...


class Keep(Protocol):
    """Keeps finished parts of studies, so that a study that was ended goes on where it was."""

    def __call__(self, key: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """Return the part with that key if it was kept before; else compute it and keep it.

        Parameters
        ----------
        key
            All that decides the result: the study, net, image, seed and steps.
        compute
            Returns what JSON can write.
        """
        ...


@dataclass(frozen=True)
class Setting:
    """How a study is carried out.

    Attributes
    ----------
    is_full
        Whether in the paper's size, for a GPU, or in one that tests the same claims on two CPU cores within three minutes.
    device
        Of the nets.
    images
        Folder of images that the package cannot carry; ``None`` if there is none, and freely licensed ones stand in.
    keep, tell
        For parts that take long, and for progress.
    """

    is_full: bool
    device: torch.device
    images: Path | None = None
    keep: Keep = lambda key, compute: compute()
    tell: Tell = lambda what, share=None: None
