"""What cannot be reconstructed is refused with a sentence before anything starts."""

import re

import numpy as np
import pytest

from napari_convgen.config import preset
from napari_convgen.core.image import Image
from napari_convgen.errors import ConfigError, FileError, InputError
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.run.reconstruct.run import ReconstructTask

IMAGE = np.random.default_rng(0).random((24, 20))
MASK = np.zeros(IMAGE.shape, bool)
MASK[3, 3] = True
SCALED = Image(IMAGE, "YX", (0.2, 0.1), ("micrometer", "micrometer"))
STACK = np.zeros((2, 9, 9)) + np.arange(9)
SHARED = preset("quick").replace({"noise.is_shared": "yes"})
POINT = np.pad(np.ones((1, 1)), 2)


@pytest.mark.parametrize(
    ("problem", "given", "error", "sentence"),
    [
        ("sharpen", {}, ConfigError, "The problems are inpaint, deblur, enlarge"),
        (["deblur"], {}, ConfigError, "The problems are inpaint, deblur, enlarge"),
        ("inpaint", {}, InputError, "nothing to fill in"),
        ("inpaint", {"is_missing": ~MASK[:-1]}, InputError, "expected (24, 20), got (23, 20)"),
        ("inpaint", {"is_missing": 0 * MASK}, InputError, "marks no pixel"),
        ("inpaint", {"is_missing": MASK | True}, InputError, "marks every pixel"),
        ("inpaint", {"is_missing": MASK, "psf": POINT}, ConfigError, "Choose the problem 'deblur'"),
        ("deblur", {"is_missing": MASK}, ConfigError, "Choose the problem 'inpaint'"),
        ("deblur", {"factor": 2}, ConfigError, "takes no factor. Choose the problem 'enlarge'"),
        (
            "enlarge",
            {"coils": 2},
            ConfigError,
            "There is no input 'coils'. The inputs are is_missing, psf, sigma, ",
        ),
        ("deblur", {"psf": -np.eye(3)}, InputError, "negative values"),
        ("deblur", {"psf": np.ones((3, 3, 3)) + np.eye(3)}, InputError, "expected 2 axes, got 3 axes"),
        ("deblur", {"psf": "psf.tif"}, FileError, "does not exist"),
        ("deblur", {"psf": POINT, "changes": {"operator.sigma": 2}}, ConfigError, "Leave one of them out"),
        (
            "deblur",
            {"psf": POINT, "changes": {"noise.is_shared": "yes"}},
            ConfigError,
            "is_shared = 'yes' is not for this problem",
        ),
        ("deblur", {"psf": POINT, "config": SHARED}, ConfigError, "is_shared = 'yes' is not for this problem"),
        ("deblur", {"psf": POINT, "wavelength": 500}, ConfigError, "(psf) takes the place of operator.wavelength"),
        ("deblur", {"psf": POINT, "changes": {"operator.kind": "widefield"}}, ConfigError, "computes another"),
        ("deblur", {"changes": {"operator.kind": "identity"}}, ConfigError, "has operator.kind 'blur' or 'widefield'"),
        ("deblur", {"changes": {"operator.kind": "widefield"}}, InputError, "Give operator.pixel_size in micrometers"),
        (
            "deblur",
            {"image": SCALED, "psf": Image(POINT, "YX", (0.1, 0.1), ("um", "um"))},
            InputError,
            "along Y: expected 0.2 micrometers, got 0.1",
        ),
        ("deblur", {"changes": {"operator.sigma": 6}}, InputError, "must not be larger than the image"),
        ("deblur", {"changes": {"operator.sigma": -1}}, ConfigError, "operator.sigma cannot be -1"),
        (
            "deblur",
            {"changes": {"operator.factor": 2}},
            ConfigError,
            "operator.factor is no setting of the kind 'blur'",
        ),
        ("enlarge", {"changes": {"operator.factor": 1}}, ConfigError, "operator.factor cannot be 1"),
        ("enlarge", {"config": "guided-network"}, ConfigError, "Choose generator.kind = 'deep-decoder'"),
        (
            "enlarge",
            {"config": "deep-decoder", "changes": {"stopping.kind": "sure"}},
            ConfigError,
            "holds for denoising only",
        ),
        ("enlarge", {"image": STACK}, InputError, "single image, got 2 frames. Choose one of them."),
        ("enlarge", {"image": STACK, "axes": "ZYX"}, InputError, "Choose one of them. Or set z_axis to 'volume'."),
    ],
)
def test_what_cannot_be_reconstructed_is_refused(problem, given, error, sentence):
    given = {"image": IMAGE} | given
    with pytest.raises(error, match=re.escape(sentence)):
        ReconstructTask(given.pop("image"), problem=problem, **given)


@pytest.mark.parametrize("kind", ["blur", "downsampling"])
def test_denoising_refuses_operators_that_change_the_shape(kind):
    config = preset("deep-decoder").replace({"operator.kind": kind})
    with pytest.raises(ConfigError, match="must keep the shape of the image"):
        DenoiseTask(IMAGE, config)
