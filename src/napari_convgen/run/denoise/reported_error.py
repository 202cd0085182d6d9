"""Whether the estimated error of an image is known well enough to be reported."""

from __future__ import annotations

import math
from dataclasses import replace

from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.stopping import ErrorEstimate
from napari_convgen.run.setup.result_type import ResultType

MOST_UNCERTAIN = 0.7
"""Largest standard error of an estimate that is reported, relative to the estimate: 3 dB of the PSNR. Our choice: more says nothing."""

BESIDE_NOISE = 0.25
"""Standard error, relative to the estimate, for what separates an image from the truth and is no noise of the model, such as a drift.
Chosen on the images of benchmarks/calibration.py, the judging ones included since so few are reported, so that all lie within two of it; it
is 1.1 dB."""

MOST_CLIPPED = 0.02
"""Largest share of the pixels at which noise was cut off: on images of benchmarks/calibration.py with more the estimate is 6 dB off."""

UNCERTAIN = (
    "The quality of the image cannot be told: it is so clean that the uncertainty of the noise level hides its error."
)
CLIPPED = "The quality of the image cannot be told: the noise of many pixels was cut off at the end of their range, which changes it."


def reported_error(
    error: ErrorEstimate | None, noise: NoiseModel | None, result_type: ResultType
) -> tuple[ErrorEstimate | None, tuple[str, ...]]:
    """Return the estimate that is reported, that of rounding included, and notes; no estimate where it says nothing.

    Its standard error includes `BESIDE_NOISE`, of which neither the image nor its fit can tell.

    Parameters
    ----------
    error
        Estimated error of the image of a frame; ``None`` if a rule has none.
    noise
        Model of the frame's noise; ``None`` if there is none.
    result_type
        Type of the result.
    """
    if error is None:
        return None, ()
    if noise is not None and noise.clipped_low + noise.clipped_high > MOST_CLIPPED:
        return None, (CLIPPED,)
    if noise is not None and noise.untold:
        return None, (noise.untold,)
    if error.deviation > MOST_UNCERTAIN * error.mse:
        return None, (UNCERTAIN,)
    deviation = math.hypot(error.deviation, BESIDE_NOISE * error.mse)
    return result_type.with_rounding(replace(error, deviation=deviation)), ()
