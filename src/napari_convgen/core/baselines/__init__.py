"""Classical denoisers to compare the generator with: one file for each method, one line for each in `BASELINES`.

Each method is given what the generator is given: a frame whose noise has the same standard deviation everywhere, that standard deviation,
and the spectrum of the noise if it is correlated. All other parameters follow from these, by rules that use no ground truth.

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

    from napari_convgen.core.baselines.frame import NoisyFrame

    Denoise = Callable[[NoisyFrame], Float[np.ndarray, "c *spatial"]]


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
    is_for_white_noise
        True, the default, if the method assumes that the noise of different pixels is independent.
    """

    title: str
    short_title: str
    function: str
    is_for_white_noise: bool = True

    def __call__(self, frame: NoisyFrame) -> Float[np.ndarray, "c *spatial"]:
        """Denoise a frame.

        Parameters
        ----------
        frame
            Frame and what is known of its noise. A channel without noise stays as it is.

        Returns
        -------
        Float[np.ndarray, "c *spatial"]
            Denoised frame.

        Raises
        ------
        ConfigError, InputError
            The method's optional package is missing, or the frame has the wrong number of axes.
        """
        return self._load()(frame)

    def _load(self) -> Denoise:
        module, _, name = self.function.partition(":")
        denoise: Denoise = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        return denoise


BASELINES: Mapping[str, Baseline] = {
    "nlm": Baseline("Non-local means", "NLM", "nlm:non_local_means"),
    "tv": Baseline("Total variation", "TV", "tv:total_variation"),
    "wavelet": Baseline("Wavelet shrinkage", "Wavelets", "wavelet:wavelet_shrinkage"),
    "lichi": Baseline(
        "Linear combinations of patches (LIChI)", "LIChI", "lichi:combine_patches", is_for_white_noise=False
    ),
    "bm3d": Baseline("BM3D", "BM3D", "bm3d:bm3d", is_for_white_noise=False),
}
"""Methods by the name under which `napari_convgen.run.compare.run` takes them, in the order of tables and windows."""
