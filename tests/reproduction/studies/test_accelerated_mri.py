import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction.studies import accelerated_mri
from napari_convgen.reproduction.studies.accelerated_mri import (
    CONV_DECODER,
    DECODER,
    FULL,
    LEARNING_RATE,
    PRIOR,
    AcceleratedMRI,
    Measured,
    make_config,
)
from napari_convgen.reproduction.study import Setting
from napari_convgen.run.reconstruct.run import reconstruct

SETTING = Setting(is_full=False, device=torch.device("cpu"))
NAMES = [CONV_DECODER, DECODER, PRIOR]


def test_three_generators_are_fitted_to_one_scan_at_a_small_size(monkeypatch):
    nets = {
        CONV_DECODER: {"kind": "conv-decoder", "n_channels": 8, "n_layers": 3, "latent_size": 6},
        DECODER: {"n_channels": 12, "n_scales": 2},
        PRIOR: {"n_channels": 6, "n_fine_channels": 6, "n_scales": 1},
    }
    monkeypatch.setattr(accelerated_mri, "QUICK", ((36, 32), 12, 30, nets))
    findings = AcceleratedMRI(SETTING).findings()
    assert list(findings.numbers["psnr"]) == NAMES
    assert all(12 < psnr <= findings.numbers["best_psnr"][name] for name, psnr in findings.numbers["psnr"].items())
    assert len(set(findings.numbers["psnr"].values())) == len(NAMES)
    titles = [panel.title.partition(":")[0] for panel in findings.panels]
    assert titles == ["image", *NAMES, "Fits"]
    assert "36 × 32 pixels and 8 coils" in findings.notes[0]
    json.dumps(findings.numbers)


def test_the_image_is_that_of_the_least_loss(monkeypatch):
    """A large learning rate makes the loss rise and fall, so that the last step is not the best."""
    net = {"kind": "conv-decoder", "n_channels": 8, "n_layers": 3, "latent_size": 6}
    monkeypatch.setattr(accelerated_mri, "QUICK", ((36, 32), 12, 6, {CONV_DECODER: net}))
    monkeypatch.setattr(accelerated_mri, "LEARNING_RATE", 0.3)
    seen = []

    def watched(*args, **inputs):
        seen.append(reconstruct(*args, **inputs))
        return seen[-1]

    monkeypatch.setattr(accelerated_mri, "reconstruct", watched)
    measured = AcceleratedMRI(SETTING).measure()
    losses = seen[0].loss
    best = next(snapshot for snapshot in seen[0].snapshots if snapshot.step == 1 + np.argmin(losses))
    assert best.step < len(losses)
    np.testing.assert_array_equal(measured.images[CONV_DECODER], np.abs(best.image))


def test_each_generator_is_of_its_kind_and_has_the_authors_steps_and_learning_rate():
    _, _, n_steps, nets = FULL
    configs = [make_config(name, n_steps, net, "cpu") for name, net in nets.items()]
    assert [each.generator.kind for each in configs] == ["conv-decoder", "deep-decoder", "skip-network"]
    assert [each.generator.n_channels for each in configs] == [160, 368, 256]
    assert all(each.n_steps == 20_000 and each.optimizer.learning_rate == LEARNING_RATE for each in configs)
    assert configs[2].generator.input_noise == 0
    assert all(each.stopping.kind == "fixed" and each.output == "iterate" for each in configs)


@pytest.mark.parametrize(
    ("errors", "agree"),
    [
        ((0.1, 0.2, 0.3), [True, True, True]),
        ((0.2, 0.3, 0.1), [True, False, False]),
        ((0.3, 0.2, 0.1), [False, False, False]),
        ((0.1, 0.3, 0.2), [True, True, False]),
    ],
)
def test_claims_are_about_the_order_of_the_generators(errors, agree):
    truth = np.linspace(0, 1, 64).reshape(8, 8)
    images = {name: truth + error for name, error in zip(NAMES, errors, strict=True)}
    measured = Measured(truth, images, {name: {1: 5.0, 2: 7.0} for name in NAMES})
    study = AcceleratedMRI(SETTING)
    claims = study.claims(measured)
    assert [claim.agrees for claim in claims] == agree
    assert all(f"{-20 * np.log10(errors[0]):.2f} dB" in claim.ours for claim in claims[:2])
    assert [not claim.because for claim in claims] == agree
    assert study.numbers(measured)["best_psnr"] == dict.fromkeys(NAMES, 7.0)
