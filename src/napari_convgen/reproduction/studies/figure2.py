"""Figure 2: one image denoised by each method."""

from __future__ import annotations

import dataclasses

from napari_convgen.reproduction.methods import (
    DIP,
    NARROW,
    PAPERS_BM3D,
    WIDE,
    MethodsStudy,
    Task,
    full_nets,
    quick_nets,
)
from napari_convgen.reproduction.study import Setting

PUBLISHED = {"noisy": 19.08, DIP: 29.07, NARROW: 29.54, WIDE: 29.84, PAPERS_BM3D: 28.62}
"""PSNR in figure 2, in dB."""

TASKS = {
    True: Task(full_nets("relu-norm", (1900, 1900, 1500)), 30, False, 512, 1, PUBLISHED),
    False: Task(quick_nets((24, 40, 128), 3, "relu-norm", (500, 500, 200)), 30, False, 128, 1, PUBLISHED),
}
"""The paper's size, and the quick one."""


class Figure2(MethodsStudy):
    """Denoise one photograph by each method: scikit-image's of an astronaut, where the authors' file is another one of her.

    References
    ----------
    Figure 2; the authors' notebooks ``denoising_performance_example`` and ``denoising_bm3d_example``.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(dataclasses.replace(setting, images=None))

    @property
    def task(self) -> Task:
        """Methods and photographs of the study."""
        return TASKS[self.setting.is_full]
