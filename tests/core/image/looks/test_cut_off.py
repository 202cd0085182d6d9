import numpy as np
import pytest

from napari_convgen.core.image.looks import notes_on_looks

DARK = 40 * np.clip(np.sin(np.indices((128, 128)) / 11).prod(0), 0, None)
RNG = np.random.default_rng(0)
NOISY = DARK + 6 * RNG.standard_normal(DARK.shape)


def note(image):
    seen = np.isfinite(image)
    return " ".join(notes_on_looks(image[None], seen[None], image.dtype))


@pytest.mark.parametrize(
    "image", [np.clip(NOISY, 0, None), np.clip(NOISY, 0, 255).round(), np.clip(NOISY, 0, None) + 100]
)
def test_noise_that_was_cut_off_is_noted(image):
    share = 100 * np.mean(image == image.min())
    assert note(image).startswith(f"{share:.0f} % of the pixels have the least value, {image.min():.3g}, scattered")


@pytest.mark.parametrize(
    "image",
    [
        NOISY,
        NOISY.round(),
        RNG.poisson(DARK / 40).astype(float),
        0.37 * RNG.poisson(DARK / 10),
        RNG.poisson(DARK / 10) / (1 - 0.1 * np.indices((128, 128)).sum(0) / 128),
        np.where(RNG.random(DARK.shape) < 0.1, 0.0, NOISY + 100),
        np.where(DARK > 0, NOISY + 100, 0),
        np.zeros((64, 64)),
        NOISY[:5, :5],
        NOISY[0],
    ],
    ids=[
        "whole",
        "rounded",
        "few photons",
        "photons in other units",
        "photons by a flat field",
        "black pixels",
        "mask",
        "constant",
        "tiny",
        "line",
    ],
)
def test_other_images_have_no_note(image):
    assert note(image) == ""
