import json

import numpy as np
import pytest
import torch

from napari_convgen.config import Config
from napari_convgen.core.problem import Problem
from napari_convgen.core.spectra.centering import ChannelMeans
from napari_convgen.core.spectra.jacobian import module_jacobian, observed
from napari_convgen.errors import ConfigError, FitError, InputError, ShortMemoryError
from napari_convgen.figures.panel import Plot
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.setup.build import build_generator
from napari_convgen.run.spectrum import run as module
from napari_convgen.run.spectrum.run import SpectrumTask, spectrum

QUICK = Config().replace(
    {"generator.n_channels": 6, "generator.n_scales": 2, "device": "cpu", "noise.kind": "gaussian", "noise.sigma": 10}
)
SKIP = {
    "generator.kind": "skip-network",
    "generator.kernel": "linear",
    "generator.n_channels": 4,
    "generator.n_fine_channels": 3,
}
GUIDED = SKIP | {"generator.kind": "guided-network", "generator.guide_step": 2}


@pytest.fixture(autouse=True)
def _few_products(monkeypatch):
    for name, n in {
        "N_NOISE_DRAWS": 6,
        "N_SENSITIVITY_PROBES": 40,
        "N_TAIL_PRODUCTS": 10,
        "N_DESCENT_PRODUCTS": 10,
    }.items():
        monkeypatch.setattr(module, name, n)


def noisy(shape=(10, 11), seed=0):
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:2]), indexing="ij")
    blob = np.exp(-4 * sum(x**2 for x in axes)).reshape(*shape[:2], *(1,) * (len(shape) - 2))
    return (20 + 150 * blob + 10 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def dense(image, config, groups=("convolutions", "norms", "output"), steps=0):
    """The Jacobian, row by row, and the image, both without channel means."""
    run = SpectrumTask(image, config, rank=3)
    generator = run._generator("torch").eval()
    if steps:
        fit = DenoiseTask(image, run.config.replace({"n_steps": steps, "backend": "torch"}))
        list(fit)
        generator.load_state_dict(fit._now.fit.generator.state_dict())
    problem = Problem.of(run.scaled, torch.device("cpu"))
    linear_map = observed(module_jacobian(generator, groups), ChannelMeans(problem.weights))
    rows = [linear_map.adjoint(unit.view(linear_map.out_shape)) for unit in torch.eye(problem.measurement.numel())]
    y = problem.measurement - problem.measurement.mean(tuple(range(1, problem.measurement.ndim)), keepdim=True)
    return torch.stack(rows).double(), y.flatten().double()


@pytest.mark.parametrize(
    ("changes", "groups"),
    [
        ({}, ("convolutions", "norms", "output")),
        ({"generator.order": "relu-norm"}, ("convolutions",)),
        (SKIP, ("norms",)),
        (GUIDED, ("convolutions", "output")),
    ],
)
def test_all_is_that_of_the_dense_jacobian(changes, groups):
    image, config = noisy((7, 8)), QUICK.replace(changes)
    result = spectrum(image, config, rank=12, n_passes=4, groups=groups)
    [found] = result.spectra
    rows, y = dense(image, config, groups)
    left, values, _ = torch.linalg.svd(rows, full_matrices=False)
    assert found.singular_values[:6] == pytest.approx(values[:6].numpy(), rel=1e-3)
    assert (
        np.abs(found.singular_values[:, None] - values.numpy()).min(1) <= found.errors + 1e-4 * float(values[0])
    ).all()
    vectors = found.left_vectors.reshape(12, -1).T
    overlaps = np.linalg.svd(vectors[:, :6].T @ left[:, :12].numpy(), compute_uv=False)
    assert overlaps == pytest.approx(1, abs=1e-2)
    assert (vectors[np.abs(vectors).argmax(0), range(12)] > 0).all()
    assert found.coefficients == pytest.approx(vectors.T @ y.numpy(), abs=1e-4)
    energy = np.cumsum((vectors.T @ y.numpy()) ** 2) / float(y @ y)
    assert found.image_energy == pytest.approx(energy, rel=1e-3)
    assert found.noise_energy[-1] == pytest.approx(12 / (image.size - 1))
    diagonal = (rows**2).sum(1).view(image.shape).numpy()
    z = (found.sensitivity[0] - diagonal) / (found.sensitivity_error[0] + 1e-3 * diagonal)
    assert float(np.mean(z**2)) < 2
    assert found.trace == pytest.approx(diagonal.sum(), abs=4 * found.trace_error + 1e-3 * diagonal.sum())
    assert found.alignment == pytest.approx(float((rows.T @ y).norm() / y.norm()), rel=1e-3)
    expected = float((rows**2).sum() / (image.size - 1)) ** 0.5
    assert found.noise_alignment.mean() == pytest.approx(expected, rel=0.5)
    assert found.angles.max() < 1e-3


def test_a_later_step_is_that_of_the_fit():
    image = noisy()
    result = spectrum(image, QUICK, rank=4, n_passes=4, at_steps=(12, 0))
    assert [each.step for each in result.spectra] == [0, 12]
    for found in result.spectra:
        values = torch.linalg.svdvals(dense(image, QUICK, steps=found.step)[0])
        assert found.singular_values[:3] == pytest.approx(values[:3].numpy(), rel=1e-2)
    assert result.spectra[1].angles[-1] > 0.01


def test_missing_values_are_left_out():
    image = noisy()
    image[2:5, 3:7] = np.nan  # 12 values
    result = spectrum(image, QUICK, rank=5)
    [found] = result.spectra
    assert np.abs(found.left_vectors[:, 0, 2:5, 3:7]).max() == 0
    assert found.sensitivity[0, 2:5, 3:7].max() < 1e-9
    assert found.noise_energy[0] == pytest.approx(1 / (image.size - 12 - 1))
    assert "12 missing (NaN) pixels" in result.notes[0]
    assert np.isnan(result.remainder(5)[2:5, 3:7]).all()


@pytest.mark.parametrize(("shape", "axes", "frame"), [((10, 11), "YX", (1, 10, 11)), ((10, 11, 3), "YXS", (3, 10, 11))])
def test_projections_have_the_image_s_units_and_come_nearer_with_more_vectors(shape, axes, frame):
    image = noisy(shape)
    result = spectrum(image, QUICK, axes=axes, rank=30, n_passes=1)
    [found] = result.spectra
    assert found.left_vectors.shape == (30, *frame)
    assert found.sensitivity.shape == frame
    remainders = [float(np.square(result.remainder(n)).sum()) for n in (1, 10, 30)]
    assert remainders == sorted(remainders, reverse=True)
    assert result.projection(60).shape == image.shape
    np.testing.assert_allclose(result.projection(30) + result.remainder(30), image, rtol=1e-4)
    energy = np.square(image - image.mean((0, 1))).sum()
    assert remainders[-1] / energy == pytest.approx(1 - found.image_energy[-1], rel=0.05)


def test_the_descent_is_that_of_the_linearized_rule(monkeypatch):
    monkeypatch.setattr(module, "N_DESCENT_PRODUCTS", 25)
    image, config = (
        noisy(),
        QUICK.replace({"stopping.kind": "linearized", "n_seeds": 1, "n_steps": 1, "noise.sigma": 10}),
    )
    [found] = spectrum(image, config, rank=3).spectra
    fit = DenoiseTask(image, config.replace({"backend": "torch"}))
    list(fit)
    rule = fit._now.fit.rule.descent
    near = found.descent.loss[:40].numpy()
    assert near == pytest.approx(np.interp(found.descent.steps[:40], rule.steps, rule.loss), rel=0.02)


def test_without_a_noise_level_no_descent_is_predicted():
    result = spectrum(noisy(), QUICK.replace({"noise.kind": "none"}), rank=3)
    assert result.spectra[0].descent is None
    assert result.notes == ("The noise level is not known: the descent is not predicted.",)


def test_the_same_seed_gives_the_same_and_another_another():
    image = noisy()
    one, again, other = (spectrum(image, QUICK, rank=2, n_passes=1, seed=seed).spectra[0] for seed in (1, 1, 2))
    assert np.array_equal(one.left_vectors, again.left_vectors)
    assert np.array_equal(one.sensitivity, again.sensitivity)
    assert not np.allclose(one.singular_values, other.singular_values)


def test_progress_goes_to_the_end_and_a_run_that_was_left_goes_on(monkeypatch):
    monkeypatch.setattr("napari_convgen.run.task.STATUS_SECONDS", 0)
    told = []
    whole = spectrum(noisy(), QUICK, rank=2, n_passes=1, at_steps=(0, 3), callback=told.append)
    assert [p.n_done for p in told] == list(range(1, len(told) + 1))
    assert told[-1].n_done == told[-1].n_total
    assert {p.doing for p in told} >= {"singular vectors", "alignment", "sensitivity", "descent", "fit"}
    run = SpectrumTask(noisy(), QUICK, rank=2, n_passes=1, at_steps=(0, 3))
    for i, _ in enumerate(run):
        if i == 30:
            break
    list(run)
    assert np.array_equal(run.result().spectra[1].left_vectors, whole.spectra[1].left_vectors)


@pytest.mark.parametrize("step", [0, 3])
def test_stop_ends_after_the_next_product(monkeypatch, step):
    monkeypatch.setattr("napari_convgen.run.task.STATUS_SECONDS", 0)
    run = SpectrumTask(noisy(), QUICK, rank=2, n_passes=1, at_steps=(0, 3))
    n_later = 0
    for progress in run:
        n_later += run._is_stopping
        if progress.step == step and progress.doing == "singular vectors":
            run.stop()
    assert n_later == 0
    if step == 0:
        with pytest.raises(FitError, match="no result"):
            run.result()
    else:
        assert [each.step for each in run.result().spectra] == [0]
        assert "1 of 2 steps were not looked at." in run.result().notes


def test_threads_and_gradients_are_as_they_were(monkeypatch):
    monkeypatch.setattr("napari_convgen.run.task.STATUS_SECONDS", 0)
    n_threads = torch.get_num_threads()
    run = iter(SpectrumTask(noisy(), QUICK.replace({"n_threads": n_threads + 1}), rank=3))
    for _ in range(3):
        next(run)
        assert torch.get_num_threads() == n_threads
        assert torch.is_grad_enabled()


def test_a_fit_that_fails_is_an_error():
    run = SpectrumTask(noisy(), QUICK.replace({"optimizer.learning_rate": 1e30}), rank=3, at_steps=(5,))
    with pytest.raises(FitError, match="diverged"):
        list(run)


def test_a_forecast_counts_and_measures(monkeypatch):
    run = SpectrumTask(noisy(), QUICK, rank=2, n_passes=1, at_steps=(0, 3))
    forecast = run.forecast()
    told = list(run)
    assert forecast.n_products == run.n_products == told[-1].n_total - 3
    assert forecast.seconds > 0
    assert "products and 3 steps of a fit" in str(forecast)
    monkeypatch.setattr("napari_convgen.run.setup.forecast.free_bytes", lambda device: 1000)
    with pytest.raises(ShortMemoryError):
        SpectrumTask(noisy(), QUICK, rank=4)


def test_the_report_and_the_figure_hold_what_was_found():
    result = spectrum(noisy(), QUICK, rank=5, n_passes=1, at_steps=(0, 2))
    report = json.loads(json.dumps(result.report(), allow_nan=False))
    assert [each["step"] for each in report["spectra"]] == [0, 2]
    assert Config.from_dict(report["config"]) == result.config
    rows = result.table()
    assert len(rows) == 1 + 10
    assert rows[6][:3] == (2, 1, pytest.approx(result.spectra[1].singular_values[0]))
    titles = [panel.title for panel in result.panels() if isinstance(panel, Plot)]
    assert "Energy in the first vectors" in titles
    assert "Predicted gradient descent" in titles
    marks = result.spectra[0].marks
    for share, n in marks.items():
        energy = result.spectra[0].image_energy
        assert (n is None and energy[-1] < share) or (energy[n - 1] >= share and (n == 1 or energy[n - 2] < share))


@pytest.mark.parametrize(
    ("image", "options", "error", "sentence"),
    [
        (noisy(), {"rank": 0}, ConfigError, "got 0"),
        (noisy(), {"rank": 9, "groups": ("output",)}, ConfigError, "expected 1 to 6, got 9"),
        (noisy(), {"rank": 110}, ConfigError, "Ask for fewer"),
        (noisy(), {"n_passes": 0}, ConfigError, "n_passes must be at least 1"),
        (noisy(), {"at_steps": ()}, ConfigError, "at least one"),
        (noisy(), {"at_steps": (-1, 0)}, ConfigError, "whole numbers from 0"),
        (noisy(), {"groups": ("scales",)}, ConfigError, "groups must be some of convolutions, norms, output"),
        (noisy(), {"groups": ()}, ConfigError, "at least one"),
        (np.zeros((3, 14, 15)) + np.arange(15), {"axes": "TYX"}, InputError, "a single image, got 3 frames"),
        (np.ones((9, 9)), {}, InputError, "constant"),
    ],
)
def test_invalid_options_are_refused_before_the_start(image, options, error, sentence):
    with pytest.raises(error, match=sentence):
        SpectrumTask(image, QUICK, **{"rank": 3} | options)


def test_the_image_goes_the_way_of_denoise():
    image = noisy()
    run = SpectrumTask(image, QUICK, rank=3)
    fit = DenoiseTask(image, QUICK)
    next(iter(fit))
    assert np.array_equal(run.scaled.values, fit._now.image.values)
    assert run.scaled.noise == fit.noise
    assert denoise(image, run.config.replace({"n_steps": 2})).frames[0].noise == run.scaled.noise


def test_the_start_is_that_of_the_configuration_s_first_generator():
    run = SpectrumTask(noisy(), QUICK, rank=3)
    expected = build_generator(run.config, (10, 11), 1, 2, [0], run.config.seed, "torch")
    assert torch.equal(run._generator("torch")(), expected())


def test_a_guided_network_is_looked_at_with_its_input_of_then():
    config = QUICK.replace(GUIDED)
    run = SpectrumTask(noisy(), config, rank=3, at_steps=(0, 1, 3))
    inputs = []
    take_jacobian = run._jacobian
    run._jacobian = lambda generator: (inputs.append(generator.inputs.clone()), take_jacobian(generator))[1]
    list(run)
    measurement = run._problem.measurement
    assert [torch.equal(each[0], measurement) for each in inputs] == [True, True, False]  # the guide comes with step 2
    [_, _, last] = run.result().spectra
    values = torch.linalg.svdvals(dense(noisy(), config, steps=3)[0])
    assert last.singular_values[:2] == pytest.approx(values[:2].numpy(), rel=2e-2)
    assert any("input is the image, or its own result so far" in note for note in run.result().notes)


def test_a_guided_network_needs_noise_to_be_found():
    with pytest.raises(InputError, match="No noise was found"):
        SpectrumTask(np.tile(np.arange(12.0), (12, 1)), Config().replace({"generator.kind": "guided-network"}), rank=3)


def test_the_descent_is_predicted_from_the_start_alone():
    result = spectrum(noisy(), QUICK, rank=2, at_steps=(0, 3))
    assert [each.descent is None for each in result.spectra] == [False, True]
    assert any("predicted from step 0 alone" in note for note in result.notes)
    assert any("predicted from step 0 alone" in note for note in spectrum(noisy(), QUICK, rank=2, at_steps=(3,)).notes)
