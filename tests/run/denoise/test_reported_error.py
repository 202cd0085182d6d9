import math

import numpy as np
import pytest

from napari_convgen.core.noise.models import GaussianNoise, PoissonGaussianNoise
from napari_convgen.core.stopping import ErrorEstimate
from napari_convgen.run.denoise.reported_error import BESIDE_NOISE, CLIPPED, UNCERTAIN, reported_error
from napari_convgen.run.setup.result_type import ResultType

FLOATS = ResultType(np.dtype(np.float32))
NOISE = GaussianNoise((1.0,))


@pytest.mark.parametrize(
    ("deviation", "clipped", "notes"),
    [(0.1, 0.0, ()), (0.69, 0.01, ()), (0.71, 0.0, (UNCERTAIN,)), (0.1, 0.03, (CLIPPED,)), (0.9, 0.3, (CLIPPED,))],
)
def test_an_estimate_that_says_nothing_is_not_reported(deviation, clipped, notes):
    error = ErrorEstimate(1.0, deviation)
    noise = GaussianNoise((1.0,), clipped_low=clipped / 2, clipped_high=clipped / 2)
    reported = ErrorEstimate(1.0, math.hypot(deviation, BESIDE_NOISE))
    assert reported_error(error, noise, FLOATS) == (None if notes else reported, notes)


def test_what_is_not_known_is_not_reported_and_rounding_is_part_of_what_is():
    assert reported_error(None, NOISE, FLOATS) == (None, ())
    assert reported_error(ErrorEstimate(1.0, 0.1), None, ResultType(np.dtype(np.uint8)))[0].mse == 1 + 1 / 12


def test_what_the_kind_of_noise_leaves_open_is_not_reported():
    of_coils = PoissonGaussianNoise((1.0,), (1.0,), (0.0,), is_of_coils=True)
    assert reported_error(ErrorEstimate(1.0, 0.1), of_coils, FLOATS) == (None, (of_coils.untold,))
