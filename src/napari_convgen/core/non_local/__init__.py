"""The non-local estimate: each patch of an image as a combination of patches that look like it.

`estimate` denoises a frame, `chain` has the stages on one grid, `scales` adds coarser grids, `mixing` is the linear algebra of a group of
patches, and `patches` their geometry. `passes` finds, reads and adds up patches: `cpu` with Numba, `plain` with PyTorch on any device.

References
----------
S. Herbreteau, C. Kervrann, "Towards a unified view of unsupervised non-local methods for image denoising: the NL-Ridge approach", IEEE
ICIP 2022; "Linear combinations of patches are unreasonably effective for single-image denoising" (LIChI), arXiv:2212.00422.
"""

from napari_convgen.core.non_local.estimate import Stage, non_local_estimate, non_local_stages

__all__ = ["Stage", "non_local_estimate", "non_local_stages"]
