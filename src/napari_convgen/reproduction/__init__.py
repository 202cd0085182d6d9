"""The paper's figures, table and theorems, each made again and checked.

Heckel and Soltanolkotabi, "Denoising and Regularization via Exploiting the Structural Bias of Convolutional Generators", ICLR 2020.
Nothing here loads torch until a study is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_convgen.reproduction.study import Findings, Setting

STUDIES: Mapping[str, tuple[str, str]] = {
    "fig1": ("curves:figure1", "An image is fitted much sooner than noise"),
    "fig2": ("methods:figure2", "One image denoised by each method"),
    "fig3": ("kernels:figure3", "The trigonometric basis"),
    "fig4": ("architectures:figure4", "Which architectures fit noise later than an image"),
    "fig5": ("least_squares:figure5", "Linear least squares, stopped early"),
    "fig6": ("kernels:figure6", "Kernels, and the weights that they give to each frequency"),
    "fig7": ("jacobians:figure7", "Singular values and vectors of a decoder's Jacobian"),
    "fig8": ("architectures:figure8", "The same as figure 4 for wider nets"),
    "fig9": ("architectures:figure9", "How far the weights move for an image and for noise"),
    "fig10": ("curves:figure10", "Many images are fitted sooner than noise"),
    "fig11": ("two_layer:figure11", "The two-layer generator fits a step sooner than noise"),
    "fig12": ("jacobians:figure12", "The Jacobian passes images and stops noise"),
    "table1": ("methods:table1", "Mean PSNR of each method over many images"),
    "theorem1": ("two_layer:theorem1", "The bound on the denoising error"),
    "theorem2": ("two_layer:theorem2", "The error over the steps, foreseen"),
    "theorem4": ("residuals:theorem4", "Residual and distance of gradient descent on a linear model"),
    "theorem5": ("residuals:theorem5", "Residual and distance of gradient descent on a nonlinear one"),
    "proposition1": ("least_squares:proposition1", "The path of least squares in closed form"),
}
"""By name: the module and function of each study, and a line on what it is about."""


def load_study(name: str) -> Callable[[Setting], Findings]:
    """Return the study of that name."""
    module, _, function = STUDIES[name][0].partition(":")
    study: Callable[[Setting], Findings] = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    return study
