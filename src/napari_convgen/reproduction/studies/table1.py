"""Table 1: many images denoised by each method."""

from __future__ import annotations

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

PUBLISHED = {"noisy": 20.60, DIP: 25.77, NARROW: 27.84, WIDE: 28.08, PAPERS_BM3D: 25.52}
"""PSNR in table 1, in dB."""

TASKS = {
    True: Task(full_nets("norm-relu", (1800, 3000, 1500)), 25, True, 512, 100, PUBLISHED),
    False: Task(quick_nets((16, 20, 80), 3, "norm-relu", (400, 400, 150)), 25, True, 64, 4, PUBLISHED),
}
"""The paper's size, and the quick one."""


class Table1(MethodsStudy):
    """Denoise many photographs by each method.

    References
    ----------
    Table 1; the authors' notebooks ``denoising_imagenet_selected100_paper`` and ``denoising_bm3d_imagenet_selected100_paper``.
    """

    @property
    def task(self) -> Task:
        """Methods and photographs of the study."""
        return TASKS[self.setting.is_full]
