"""Figure 8: the same as figure 4 for nets of several widths."""

from __future__ import annotations

from collections.abc import Sequence

from napari_convgen.reproduction.architectures import ArchitectureStudy


class Figure8(ArchitectureStudy):
    """Fit the phantom and noise with each architecture in all widths of the paper; in quick size, in two.

    References
    ----------
    Figure 8 and appendix B.
    """

    def which_widths(self) -> Sequence[int]:
        """Return the numbers of all widths."""
        return range(len(self.size.widths["i"]))
