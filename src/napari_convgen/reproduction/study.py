"""What every study of the paper is made of.

A study is a class in `napari_convgen.reproduction.studies`, a file each, that is named in `napari_convgen.reproduction.STUDIES`. It
derives from `Study`: `measure` computes, `claims` compares what was measured with the paper, `panels` shows it, `numbers` and
`notes` complete the report. Only `measure` takes long.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from napari_convgen.figures.panel import Panel

Measured = TypeVar("Measured")
"""What a study measures: a frozen dataclass of numbers and arrays."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and what we get.

    Attributes
    ----------
    paper
        Statement of the paper or of its code: "noise takes more than 100 times the steps to half the loss".
    ours
        Our result, with its unit.
    tolerance
        Condition under which the two agree, in words.
    agrees
        True if they agree.
    because
        Reason why they do not agree, or what qualifies the agreement; empty if there is nothing to say.
    """

    paper: str
    ours: str
    tolerance: str
    agrees: bool
    because: str = ""


@dataclass(frozen=True, eq=False)
class Findings:
    """Report of a study.

    Attributes
    ----------
    claims
        Statements that were checked.
    panels
        Panels of the picture, like the paper's.
    numbers
        All numbers that the claims rest on, as JSON can write them.
    notes
        Differences from the paper's setting: smaller nets, other images, fewer steps.
    """

    claims: Sequence[Claim]
    panels: Sequence[Panel]
    numbers: Mapping[str, Any]
    notes: Sequence[str] = ()


class ReportProgress(Protocol):
    """A function that shows how far a study is."""

    def __call__(self, what: str, share: float | None = None) -> None:
        """Show the progress.

        Parameters
        ----------
        what
            Description of what is being computed.
        share
            Part of the study that is done, 0 to 1; ``None`` if it is not known.
        """
        ...


class Keep(Protocol):
    """A store of finished parts, so that an interrupted study goes on where it was."""

    def __call__(self, key: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """Return the part with that key if it was kept before; else compute it and keep it.

        Parameters
        ----------
        key
            Everything that decides the result: the study, net, image, seed and steps.
        compute
            Function that returns the part, as JSON can write it.
        """
        ...


@dataclass(frozen=True)
class Setting:
    """How a study is carried out.

    Attributes
    ----------
    is_full
        True for the paper's size, for a GPU; false for a size that tests the same claims on two CPU cores within three minutes.
    device
        Device of the nets.
    images
        Folder of images that the package cannot carry; if ``None``, freely licensed images stand in.
    keep
        Store for parts that take long; by default nothing is kept.
    report_progress
        Function that shows how far the study is; by default nothing is shown.
    """

    is_full: bool
    device: torch.device
    images: Path | None = None
    keep: Keep = lambda key, compute: compute()
    report_progress: ReportProgress = lambda what, share=None: None


class Study(ABC, Generic[Measured]):
    """A figure, table or theorem of the paper, made again and checked.

    Parameters
    ----------
    setting
        How the study is carried out.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @abstractmethod
    def measure(self) -> Measured:
        """Compute everything that the report needs."""

    @abstractmethod
    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare what was measured with the paper."""

    @abstractmethod
    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Return the panels of the picture."""

    @abstractmethod
    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the numbers that the claims rest on, as JSON can write them."""

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return ()

    def findings(self) -> Findings:
        """Carry the study out."""
        measured = self.measure()
        return Findings(
            self.claims(measured), self.panels(measured), self.numbers(measured), tuple(self.notes(measured))
        )
