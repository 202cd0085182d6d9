"""Classical denoisers to compare with."""

from napari_convgen.core.baselines.methods import BASELINES, check_bm3d, fill_missing

__all__ = ["BASELINES", "check_bm3d", "fill_missing"]
