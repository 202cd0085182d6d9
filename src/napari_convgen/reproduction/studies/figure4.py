"""Figure 4: which architectures fit an image sooner than noise."""

from __future__ import annotations

from collections.abc import Sequence

from napari_convgen.reproduction.architectures import ArchitectureStudy


class Figure4(ArchitectureStudy):
    """Fit the phantom and noise with each architecture, over-parameterized about four times.

    References
    ----------
    Figure 4; the authors' notebook ``noise_vs_img_fitting_different_architectures``.
    """

    def which_widths(self) -> Sequence[int]:
        """Return the number of the middle width of the paper, the wider one of the quick size."""
        return [1]
