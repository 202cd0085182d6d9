"""What no operator can be made of is refused with a sentence that says what to do."""

import re

import pytest
import torch

from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.operators.fourier import fourier
from napari_convgen.core.operators.masking import check_mask, masking
from napari_convgen.core.operators.resizing import box_downsampling, lanczos_downsampling
from napari_convgen.core.operators.sensing import cosine_sensing, gaussian_sensing
from napari_convgen.core.optics.point_spread import gaussian_psf
from napari_convgen.errors import ConfigError, InputError

RNG = torch.Generator()
MAPS = torch.ones((2, 8, 8), dtype=torch.complex64)
ALL = torch.ones((8, 8), dtype=torch.bool)
PARTIAL = ALL.clone()
PARTIAL[2, 3] = False


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: masking(~ALL[None]), InputError, "no pixel is observed"),
        (lambda: check_mask(ALL, (8, 9)), InputError, "expected (8, 9), got (8, 8)"),
        (lambda: check_mask(~ALL, (8, 8)), InputError, "marks no pixel"),
        (lambda: check_mask(ALL, (8, 8)), InputError, "marks every pixel"),
        (lambda: blurring((1, 8, 8), gaussian_psf((1,))), InputError, "expected 2 axes, got 1 axes"),
        (
            lambda: blurring((1, 8, 8), gaussian_psf((1, 1.2))),
            InputError,
            "expected at most (8, 8) pixels, got (9, 11)",
        ),
        (lambda: box_downsampling((1, 8, 8), (2,)), InputError, "factor for each of 2 spatial axes, got 1"),
        (lambda: lanczos_downsampling((1, 8, 8), (2, 0)), ConfigError, "at least 1, got (2, 0)"),
        (lambda: cosine_sensing((1, 8, 8), 65, RNG), ConfigError, "from 1 to the 64 pixels, got 65"),
        (lambda: gaussian_sensing((1, 8, 8), 0, RNG), ConfigError, "from 1 to the 64 pixels, got 0"),
        (lambda: gaussian_sensing((1, 65, 64), 9, RNG), ConfigError, "at most 4096 pixels, got 4160"),
        (lambda: fourier(MAPS, ALL[1:]), InputError, "expected (8, 8), got (7, 8)"),
        (lambda: fourier(MAPS, ~ALL), InputError, "No point of k-space was sampled"),
        (lambda: fourier(MAPS * torch.nan, ALL), InputError, "not a number"),
        (lambda: fourier(MAPS * 0, ALL), InputError, "0 throughout"),
        (lambda: fourier(MAPS, PARTIAL, readout_axis=1), InputError, "along axis 1, and 1 of 8 were in part"),
        (lambda: fourier(MAPS, ALL, readout_axis=2), InputError, "must be one of 2 spatial axes of k-space, got 2"),
        (lambda: fourier(MAPS, PARTIAL, n_calibration=4), InputError, "4 lines are asked for, and only 3"),
    ],
)
def test_what_cannot_be_is_refused(make, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        make()


def test_a_good_mask_passes():
    check_mask(~PARTIAL, (8, 8))
