"""Classical denoisers to compare the generator with: one file for each method, one line for each in `BASELINES`.

Each method is given what the generator is given: a frame whose noise has the same standard deviation everywhere, and that
standard deviation. All other parameters follow from these two, by rules that use no ground truth. The methods assume that the
noise of different pixels is independent.

Nothing here loads numpy or a method's libraries until a method is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    Denoise = Callable[[Float[np.ndarray, "c *spatial"], Float[np.ndarray, "c"], bool], Float[np.ndarray, "c *spatial"]]


@dataclass(frozen=True)
class Baseline:
    """A classical denoiser, loaded when it is called.

    Attributes
    ----------
    title
        Full name of the method, for tables and tooltips.
    short_title
        Short name, for layers and checkboxes.
    function
        Module in this package and function in it, with a colon between.
    """

    title: str
    short_title: str
    function: str

    def __call__(
        self, values: Float[np.ndarray, "c *spatial"], noise_level: Float[np.ndarray, "c"], is_color: bool
    ) -> Float[np.ndarray, "c *spatial"]:
        """Denoise a frame.

        Parameters
        ----------
        values
            Frame without missing pixels, ``(c, h, w)``; a volume has a third spatial axis, a line has one.
        noise_level
            Standard deviation of the noise of each channel, in the unit of ``values``. A channel where it is 0 or NaN stays as it is.
        is_color
            True if the three channels are red, green and blue.

        Returns
        -------
        Float[np.ndarray, "c *spatial"]
            Denoised frame.

        Raises
        ------
        ConfigError, InputError
            The method's optional package is missing, or the frame has the wrong number of axes.
        """
        return self._load()(values, noise_level, is_color)

    def _load(self) -> Denoise:
        module, _, name = self.function.partition(":")
        denoise: Denoise = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        return denoise


BASELINES: Mapping[str, Baseline] = {
    "nlm": Baseline("Non-local means", "NLM", "nlm:non_local_means"),
    "tv": Baseline("Total variation", "TV", "tv:total_variation"),
    "wavelet": Baseline("Wavelet shrinkage", "Wavelets", "wavelet:wavelet_shrinkage"),
    "bm3d": Baseline("BM3D", "BM3D", "bm3d:bm3d"),
}
"""Methods by the name under which `napari_convgen.run.compare.run` takes them, in the order of tables and windows."""
