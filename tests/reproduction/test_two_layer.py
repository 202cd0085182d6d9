import json

import numpy as np
import pytest
import torch

from napari_convgen.core.theory.kernels import normalized, step_size, triangular
from napari_convgen.reproduction import two_layer as module
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_descent_is_that_of_the_gradient_written_out():
    n, k, rate = 10, 6, 0.3
    kernel = normalized(triangular((n,), 3))
    y = np.random.default_rng(0).standard_normal(n)
    generator = module.two_layer(kernel, y, k, seed=1)
    u = np.stack([np.roll(kernel, i) for i in range(n)], 1)
    v, c = generator.output_weights.numpy(), generator.weights.detach()[0].numpy().copy()
    for image in module.descend(generator, y, rate, 5):
        np.testing.assert_allclose(image, np.maximum(u @ c, 0) @ v, atol=1e-12)
        c -= rate * u.T @ (np.outer(image - y, v) * (u @ c > 0))


def test_signal_and_noise_have_their_norms_and_the_signal_low_frequencies():
    signal, noise = module.signal_and_noise(1000, 5, 0.5, seed=0)
    assert np.linalg.norm(signal) == pytest.approx(1)
    assert np.linalg.norm(noise) == pytest.approx(0.5, rel=0.05)
    spectrum = np.abs(np.fft.rfft(signal))
    assert spectrum[:3].min() > 1e3 * spectrum[3:].max()


def test_figure_11_counts_the_steps_of_both_targets(monkeypatch):
    monkeypatch.setattr(module, "SMALL", (64, 64))
    monkeypatch.setattr(module, "N_FIT_STEPS", 400)
    findings = module.figure11(SETTING)
    steps = findings.numbers["steps"]
    curves = {curve.label: curve for curve in findings.panels[1].curves}
    for name in ("step", "noise"):
        first = steps[name]["0.5"]
        assert first is None or (curves[name].y[first - 1] < 0.5 <= curves[name].y[: first - 1].min(initial=1))
    assert steps["step"]["0.5"] < 10
    assert steps["noise"]["0.1"] is None
    assert "more than 400 steps for noise" in findings.claims[1].ours
    json.dumps(findings.numbers)


def test_theorem_1_holds_and_its_stop_is_too_early(monkeypatch):
    monkeypatch.setattr(module, "N_DRAWS", 1)
    monkeypatch.setattr(module, "CHECKED_WIDTH", 60)
    findings = module.theorem1(SETTING)
    holds, says = findings.claims
    assert holds.agrees
    assert not says.agrees
    rows = {(row["kernel"], row["p"]): row for row in findings.numbers["bounds"]}
    assert rows["triangle, p = 30", 11]["stop"] == pytest.approx(3.14, abs=0.01)
    assert rows["triangle, p = 10", 9]["stop"] < 1
    assert all(0.65 < row["signal_term"] < 0.95 for row in rows.values())
    json.dumps(findings.numbers)


def test_theorem_2_foresees_the_error_of_a_wide_net(monkeypatch):
    monkeypatch.setattr(module, "N_DRAWS", 1)
    monkeypatch.setattr(module, "QUICK_WIDTHS", (60, 1200))
    monkeypatch.setattr(module, "JUDGED_WIDTH", 1200)
    findings = module.theorem2(SETTING)
    least, stopped, _, closer, residual = findings.claims
    assert [claim.agrees for claim in (stopped, closer, residual)] == [True] * 3
    row = findings.numbers["rows"][-1]
    assert row["best_error"] == pytest.approx(row["foreseen_error"], rel=0.06)
    assert row["best_step"] == pytest.approx(row["foreseen_step"], abs=2)
    assert row["foreseen_error"] == pytest.approx(0.0860, abs=1e-4)
    assert "1,200 channels" in least.ours
    json.dumps(findings.numbers)


def test_another_step_size_is_not_foreseen(monkeypatch):
    monkeypatch.setattr(module, "N_DRAWS", 1)
    monkeypatch.setattr(module, "QUICK_WIDTHS", (600,))
    monkeypatch.setattr(module, "JUDGED_WIDTH", 600)
    exact = module.induced_filter
    monkeypatch.setattr(module, "induced_filter", lambda kernel: exact(kernel, step_size(kernel) * 2))
    monkeypatch.setattr(module, "descend", lambda g, y, rate, n, descend=module.descend: descend(g, y, rate / 2, n))
    assert not module.theorem2(SETTING).claims[1].agrees
