"""The window under which an image is looked at in the frequency domain."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def hann_window(n: int) -> Float[np.ndarray, "n"]:
    """Return the periodic Hann window of ``n`` values.

    The values are those of SciPy, whose module for signals takes half a second to load.
    """
    return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n + 1))[:-1]
