"""The paper's figures, table and theorems, each made again and checked.

Heckel and Soltanolkotabi, "Denoising and Regularization via Exploiting the Structural Bias of Convolutional Generators", ICLR 2020. The
last four studies are of related papers, which they name.
Nothing here loads torch until a study is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_convgen.reproduction.study import Findings, Setting, Study

TITLE = "# What the paper says, and what we get"
"""First line of the table of all statements, by which it is recognized."""

STUDIES: Mapping[str, tuple[str, str]] = {
    "fig1": ("figure1:Figure1", "An image is fitted much sooner than noise"),
    "fig2": ("figure2:Figure2", "One image denoised by each method"),
    "fig3": ("figure3:Figure3", "The trigonometric basis"),
    "fig4": ("figure4:Figure4", "Which architectures fit noise later than an image"),
    "fig5": ("figure5:Figure5", "Linear least squares, stopped early"),
    "fig6": ("figure6:Figure6", "Kernels, and the weights that they give to each frequency"),
    "fig7": ("figure7:Figure7", "Singular values and vectors of a decoder's Jacobian"),
    "fig8": ("figure8:Figure8", "The same as figure 4 for wider nets"),
    "fig9": ("figure9:Figure9", "How far the weights move for an image and for noise"),
    "fig10": ("figure10:Figure10", "Many images are fitted sooner than noise"),
    "fig11": ("figure11:Figure11", "The two-layer generator fits a step sooner than noise"),
    "fig12": ("figure12:Figure12", "The Jacobian passes images and stops noise"),
    "table1": ("table1:Table1", "Mean PSNR of each method over many images"),
    "theorem1": ("theorem1:Theorem1", "The bound on the denoising error"),
    "theorem2": ("theorem2:Theorem2", "The predicted error over the steps"),
    "theorem4": ("theorem4:Theorem4", "Residual and distance of gradient descent on a linear model"),
    "theorem5": ("theorem5:Theorem5", "Residual and distance of gradient descent on a nonlinear one"),
    "proposition1": ("proposition1:Proposition1", "The path of least squares in closed form"),
    "sensing": ("sensing:CompressiveSensing", "An image from a third as many sums as pixels"),
    "accelerated-mri": ("accelerated_mri:AcceleratedMRI", "An undersampled scan, by three generators"),
    "inpainting": ("inpainting:Inpainting", "A photograph from half of its pixels, and from a sixteenth as many"),
    "phase": ("phase:PhaseDecoder", "The phase of cells and the aberrations of the microscope, from a few images"),
}
"""Studies by name: the module and class of each, and a line on what it is about."""


def load_study(name: str) -> Callable[[Setting], Findings]:
    """Return the study of that name, as a function that carries it out."""
    module, _, class_name = STUDIES[name][0].partition(":")
    study: type[Study[Any]] = getattr(importlib.import_module(f"{__name__}.studies.{module}"), class_name)
    return lambda setting: study(setting).findings()
