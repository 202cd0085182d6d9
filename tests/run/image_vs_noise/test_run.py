import numpy as np
import pytest
import torch

from napari_convgen import Config, denoise
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators import DeepDecoder, SkipNetwork
from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.snapshot import Outcome
from napari_convgen.errors import FitError, InputError, ShortMemoryError
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.run.image_vs_noise.run import CompareFitsTask, compare_fits
from napari_convgen.run.image_vs_noise.targets import noise_like
from napari_convgen.run.image_vs_noise.weights import WeightDistances
from napari_convgen.run.setup import fits as fits_module
from napari_convgen.run.setup.build import random_source

QUICK = Config().replace(
    {
        "generator.n_channels": 6,
        "generator.n_scales": 2,
        "n_steps": 40,
        "n_threads": 1,
        "noise.kind": "none",
        "backend": "torch",
        "seed": 3,
    }
)
SKIP = QUICK.replace({"generator.kind": "skip-network", "generator.n_fine_channels": 4, "n_steps": 4})


def clean(shape=(32, 28)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 100 + 60 * np.sin(x / 7) * np.cos(y / 6)


def noisy(shape=(32, 28), seed=0):
    return np.random.default_rng(seed).normal(clean(shape), 10).astype(np.float32)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_the_fit_to_the_image_is_that_of_denoise(backend):
    config = QUICK.replace({"backend": backend})
    result = compare_fits(noisy(), config, targets=TargetsConfig(added_noise=20.0), reference=clean())
    alone = denoise(noisy(), config.replace({"n_seeds": 1, "stopping.kind": "fixed", "output": "iterate"}))
    assert result.steps == tuple(snapshot.step for snapshot in alone.snapshots)
    for ours, theirs in zip(result["image"].snapshots, alone.snapshots, strict=True):
        np.testing.assert_allclose(ours.image, theirs.image, rtol=1e-5)
    image = ImageTensor.of(noisy(), Layout.of((32, 28)))
    losses = np.array(alone.frames[0].loss)[np.array(result.steps) - 1] / np.var(image.values)
    np.testing.assert_allclose(result["image"].losses, losses, rtol=1e-5)


@pytest.mark.parametrize(("shape", "mean"), [("uniform", "removed"), ("gaussian", "kept")])
def test_noise_is_fitted_from_the_same_start_as_by_a_net_of_its_own(shape, mean):
    """A slow twin: a plain loop over a single net."""
    result = compare_fits(noisy(), QUICK, targets=TargetsConfig(shape, mean))
    values = ImageTensor.of(noisy(), Layout.of((32, 28))).values
    source = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(2000,)))
    target = noise_like(values, np.full(values.shape, True), shape, mean, source)
    words = QUICK.generator.model_dump(include={"order", "output_map", "extra_layer", "norm_init", "kernel"})
    net = DeepDecoder((32, 28), 1, n_channels=6, n_scales=2, rngs=[random_source(3, 1)], **words)
    starts = [p[0].detach().clone() for p in (*net.convolutions, net.output_convolution)]
    optimizer = torch.optim.Adam(net.parameters(), lr=QUICK.optimizer.learning_rate)
    losses, distances = [], []
    for _ in range(40):
        loss = ((net()[0] - torch.tensor(target)) ** 2).mean()
        losses.append(float(loss.detach()) / np.var(target))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        now = [p[0].detach() for p in (*net.convolutions, net.output_convolution)]
        distances.append([float((w - s).norm() / s.norm()) for w, s in zip(now, starts, strict=True)])
    at = np.array(result.steps) - 1
    np.testing.assert_allclose(result["noise"].losses, np.array(losses)[at], rtol=1e-4)
    np.testing.assert_allclose(result["noise"].distances, np.array(distances)[at], rtol=2e-3)
    assert result.layers == ("layer 1", "layer 2", "output")


def test_all_fits_go_through_the_same_passes(monkeypatch):
    fits = []
    monkeypatch.setattr(fits_module, "Fit", lambda *words: fits.append(Fit(*words)) or fits[-1])
    result = compare_fits(noisy(), QUICK, targets=TargetsConfig(added_noise=20.0), reference=clean())
    assert [len(fit.members) for fit in fits] == [4]
    assert [target.name for target in result.targets] == ["image", "noise", "reference", "added noise"]
    first = [target.snapshots[0].image for target in result.targets]
    for image in first[1:]:
        np.testing.assert_array_equal(image, first[0])  # one start


def test_the_image_is_drawn_sooner_than_noise():
    result = compare_fits(clean(), QUICK.replace({"n_steps": 120, "generator.n_channels": 16}))
    at = result.steps.index(result.first_step("image"))
    assert result["noise"].losses[at] > 5 * result["image"].losses[at]


def test_errors_are_those_of_the_snapshots_in_the_units_of_the_image():
    truth = clean()
    result = compare_fits(noisy(), QUICK, targets=TargetsConfig(added_noise=20.0), reference=truth)
    for name in ("image", "added noise"):
        expected = [np.mean((s.image.astype(float) - truth) ** 2) / np.var(truth) for s in result[name].snapshots]
        np.testing.assert_allclose(result[name].errors, expected, rtol=1e-6)
    assert not result["noise"].has_errors
    own = compare_fits(noisy(), QUICK, targets=TargetsConfig(added_noise=20.0))
    expected = [np.mean((s.image - noisy().astype(float)) ** 2) / np.var(noisy()) for s in own["added noise"].snapshots]
    np.testing.assert_allclose(own["added noise"].errors, expected, rtol=1e-5)
    assert not own["image"].has_errors


def test_what_is_fitted_keeps_its_noise_about_the_floor():
    """Magnitudes near the noise floor are not brought to 0: these are no estimates of a clean image."""
    rng = np.random.default_rng(0)
    magnitudes = np.hypot(10 * rng.standard_normal((32, 28)), 10 * rng.standard_normal((32, 28))).astype(np.float32)
    config = QUICK.replace({"noise.kind": "rician", "noise.sigma": 10, "n_steps": 2})
    shown = compare_fits(magnitudes, config).targets[0].values
    assert shown[magnitudes > 17].min() > 8


def test_missing_pixels_are_left_out_and_a_length_of_one_is_no_stack():
    image = noisy()[np.newaxis]
    image[0, :5, :6] = np.nan
    result = compare_fits(image, QUICK, axes="TYX", reference=clean()[np.newaxis])
    assert result["noise"].snapshots[-1].image.shape == (1, 32, 28)
    assert np.isfinite(result["image"].losses).all()
    assert "30 missing (NaN) pixels" in " ".join(result.notes)
    known = ~np.isnan(image)
    last = result["image"].snapshots[-1].image.astype(float)
    truth = clean()[np.newaxis]
    expected = np.mean((last - truth)[known] ** 2) / np.var(truth[known])
    assert result["image"].errors[-1] == pytest.approx(expected, rel=1e-6)


def test_of_color_all_channels_are_fitted_though_their_noise_is_the_same():
    shared = np.random.default_rng(0).normal(0, 20, (32, 28, 1))
    color = np.stack([clean(), clean()[::-1], 255 - clean()], -1) + shared
    config = QUICK.replace({"noise.kind": "gaussian", "noise.sigma": 20.0, "noise.is_shared": "yes"})
    run = CompareFitsTask(color.clip(0, 255).astype(np.uint8), config)
    for _ in run:
        pass
    assert run.result()["noise"].snapshots[-1].image.shape == (32, 28, 3)
    assert run.result().image.values.shape == (3, 32, 28)


def test_layers_of_a_skip_network_go_down_and_up_and_end_with_the_output():
    result = compare_fits(noisy(), SKIP)
    words = SKIP.generator
    net = SkipNetwork(
        (32, 28),
        1,
        rngs=[random_source(3, 1)],
        n_scales=2,
        **words.model_dump(include={"n_channels", "n_fine_channels", "n_skip_channels", "n_latent_channels"}),
    )
    n_convolutions = sum(name.endswith("weights") for name, _ in net.named_parameters())
    assert len(result.layers) == n_convolutions
    distances = WeightDistances(net)
    with torch.no_grad():
        dict(net.named_parameters())[next(n for n, _ in net.named_parameters() if n.endswith("output_weights"))].mul_(3)
        next(p for n, p in net.named_parameters() if "ways_up.1" in n and n.endswith(".weights")).mul_(2)
    [moved] = distances.measure()
    assert moved[-1] == pytest.approx(2)
    n_down = sum("ways_down" in name and name.endswith("weights") for name, _ in net.named_parameters())
    assert moved[n_down] == pytest.approx(1)
    assert sum(moved) == pytest.approx(3)


def test_values_that_a_sigmoid_does_not_draw_are_told():
    result = compare_fits(noisy(), QUICK, targets=TargetsConfig("gaussian", "kept"))
    assert any("of the noise cannot be fitted" in note for note in result.notes)
    linear = compare_fits(
        noisy(), QUICK.replace({"generator.output_map": "linear"}), targets=TargetsConfig("gaussian", "kept")
    )
    assert linear.notes == ()


def test_a_run_can_be_left_and_taken_up_and_ends_once():
    whole = compare_fits(noisy(), QUICK)
    run = CompareFitsTask(noisy(), QUICK)
    for progress in run:
        if progress.step >= 10:
            break
    partial = run.result()
    assert partial.steps[-1] <= 10
    assert "is at step" in str(partial.reason)
    for progress in run:
        assert progress.seconds_left >= 0
    assert progress.step == 40
    assert list(run) == []
    assert run.result().reason.outcome is Outcome.BUDGET
    np.testing.assert_array_equal(run.result()["noise"].losses, whole["noise"].losses)


def test_stop_ends_with_what_there_is():
    run = CompareFitsTask(noisy(), QUICK.replace({"n_steps": 1_000_000}))
    for progress in run:
        if progress.step >= 5:
            run.stop()
    result = run.result()
    assert result.steps[-1] == run._fit.step < 1000
    assert result.reason.outcome is Outcome.USER
    assert result["image"].snapshots[-1].step == result.steps[-1]
    assert f"Stopped at step {result.steps[-1]} of 1000000." in result.notes


def test_progress_tells_every_moment_once():
    moments = [p.moment for p in CompareFitsTask(noisy(), QUICK) if p.moment is not None]
    result = compare_fits(noisy(), QUICK)
    assert tuple(m.step for m in moments) == result.steps
    np.testing.assert_array_equal([m.losses for m in moments], np.stack([t.losses for t in result.targets], 1))
    np.testing.assert_array_equal([m.distances[1] for m in moments], result["noise"].distances)


def test_beyond_the_memory_all_targets_lose_the_same_snapshots():
    n_bytes = 2 * 10 * noisy().nbytes
    result = compare_fits(noisy(), QUICK.replace({"snapshot_memory": n_bytes / 2**20}))
    steps = [[s.step for s in target.snapshots] for target in result.targets]
    assert steps[0] == steps[1]
    assert 4 < len(steps[0]) <= 10
    assert steps[0][-1] == 40
    assert len(result.steps) > 10
    assert any("snapshots were dropped" in note for note in result.notes)


def test_a_forecast_leaves_no_trace():
    run = CompareFitsTask(noisy(), QUICK)
    forecast = run.forecast()
    assert forecast.n_steps == 40
    assert forecast.n_bytes == run.n_bytes > CompareFitsTask(noisy()[:16], QUICK).n_bytes
    for _ in run:
        pass
    np.testing.assert_array_equal(run.result()["noise"].losses, compare_fits(noisy(), QUICK)["noise"].losses)


def test_a_fit_that_diverges_keeps_what_there_was():
    result = compare_fits(noisy(), QUICK.replace({"optimizer.learning_rate": 1e38}))
    assert result.steps == (1,)
    assert result.reason.outcome is Outcome.DIVERGED
    assert "Lower optimizer.learning_rate." in result.notes[0]


def test_noise_that_is_hardly_fitted_is_no_collapse():
    config = QUICK.replace({"generator.n_channels": 2, "n_steps": 240, "backend": "numba"})
    assert compare_fits(clean(), config).reason.outcome is Outcome.BUDGET


def test_there_is_no_result_before_the_first_step():
    with pytest.raises(FitError, match="No step has been taken"):
        CompareFitsTask(noisy(), QUICK).result()


@pytest.mark.parametrize(
    ("image", "words", "sentence"),
    [
        (np.stack([noisy(), noisy()]), {"axes": "TYX"}, "a single image, got 2 frames"),
        (noisy(), {"reference": clean()[:-1]}, "must have the shape of the image"),
        (noisy(), {"reference": np.full((32, 28), 7, np.uint8)}, "The reference is constant"),
        (np.ones((8, 8)), {}, "The image is constant"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_starts(image, words, sentence):
    with pytest.raises(InputError, match=sentence):
        CompareFitsTask(image, QUICK, **words)


def test_short_memory_is_told(monkeypatch):
    def fail():
        raise MemoryError

    run = CompareFitsTask(noisy(), QUICK)
    monkeypatch.setattr(run._fit, "_take_step", fail)
    with pytest.raises(ShortMemoryError, match="Memory ran out on cpu"):
        next(iter(run))
