import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction.studies import inpainting
from napari_convgen.reproduction.studies.inpainting import FACTOR, Inpainting, Measured, Restored
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_a_photograph_is_filled_in_and_enlarged_at_a_small_size(monkeypatch):
    monkeypatch.setattr(inpainting, "QUICK", (32, 8, 2, 60, 50))
    study = Inpainting(SETTING)
    measured = study.measure()
    filled, enlarged = measured.filled, measured.enlarged
    is_missing = np.isnan(filled.seen)
    assert 0.4 < is_missing.mean() < 0.6
    np.testing.assert_array_equal(filled.seen[~is_missing], measured.truth[~is_missing])
    np.testing.assert_allclose(filled.classical[~is_missing], measured.truth[~is_missing])
    assert enlarged.seen.shape == (32 // FACTOR, 32 // FACTOR)
    for restored in (filled, enlarged):
        assert restored.prior.shape == restored.classical.shape == (32, 32)
        assert measured.scores(restored.classical).psnr > 15
        assert measured.scores(restored.prior).psnr > 12
    assert (max(filled.course), max(enlarged.course)) == (60, 50)
    titles = [panel.title.partition(",")[0] for panel in study.panels(measured)]
    assert titles[:4] == [
        "photograph",
        "to be filled in",
        "filled in: deep image prior",
        "filled in: biharmonic equation",
    ]
    assert titles[4:] == ["to be enlarged", "enlarged: deep image prior", "enlarged: bicubic interpolation", "Fits"]
    json.dumps(study.numbers(measured))


@pytest.mark.parametrize(
    ("errors", "agree"),
    [
        ((0.1, 0.2, 0.1, 0.2), [True, True]),
        ((0.2, 0.1, 0.1, 0.2), [True, False]),
        ((0.1, 0.2, 0.2, 0.1), [False, True]),
    ],
)
def test_claims_are_about_the_deep_image_prior_and_each_rival(errors, agree):
    truth = np.linspace(0, 1, 64).reshape(8, 8)
    images = [truth + error for error in errors]
    measured = Measured(truth, Restored(truth, *images[:2], {1: 5.0}), Restored(truth, *images[2:], {1: 6.0}))
    study = Inpainting(SETTING)
    claims = study.claims(measured)
    assert [claim.agrees for claim in claims] == agree
    assert [not claim.because for claim in claims] == agree
    assert study.numbers(measured)["enlarged"]["psnr"] == pytest.approx([-20 * np.log10(error) for error in errors[2:]])


def test_a_narrow_lead_is_said_to_be_one():
    truth = np.linspace(0, 1, 64).reshape(8, 8)
    restored = Restored(truth, truth + 0.100, truth + 0.101, {1: 5.0})
    [enlarged, filled] = Inpainting(SETTING).claims(Measured(truth, restored, restored))
    assert enlarged.agrees
    assert filled.agrees
    assert "less than" in enlarged.because
    assert "less than" in filled.because
