import gc
import re
import time
import weakref

import numpy as np
import pytest
import torch

from napari_convgen.config import Config
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators.fused import FusedDecoder
from napari_convgen.core.image import Measured
from napari_convgen.errors import ConfigError, ShortMemoryError
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.labels import format_bytes, format_each, format_place, format_seconds
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.setup import forecast as module
from napari_convgen.run.setup import guides
from napari_convgen.run.setup.guides import N_TIMED

SMALL = Config().replace({"generator.n_channels": 8, "n_steps": 50, "stopping.kind": "fixed", "device": "cpu"})


def noisy(*shape):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_a_forecast_counts_frames_and_steps_and_leaves_the_run_as_it_was():
    stack = noisy(3, 20, 24)
    stack[1] = 7
    run = DenoiseTask(stack, SMALL)
    forecast = run.forecast()
    assert (forecast.n_frames, forecast.n_steps) == (2, 50)
    assert forecast.seconds == pytest.approx(forecast.step.wall * 100)
    assert forecast.step.wall > 0
    assert (forecast.device, forecast.backend, forecast.n_threads) == ("cpu", "numba", torch.get_num_threads())
    assert run.noise is None
    list(run)
    np.testing.assert_array_equal(run.result().image, denoise(stack, SMALL).image)
    assert forecast.noise == run.result().frames[0].noise
    assert run.noise == run.result().frames[-1].noise


def test_a_forecast_reads_as_two_sentences():
    words = str(DenoiseTask(noisy(20, 24), SMALL).forecast())
    assert re.fullmatch(
        r"About \S+ KiB of memory, \S+ [MGT]iB are free\. "
        r"\d+ ms a step: at most \S+ s \(\S+ s of CPU time\) for 50 steps, on cpu \(numba, \d+ threads?\)\.",
        words,
    )


@pytest.mark.parametrize("size", [(33,), (40, 37), (9, 20, 18)])
@pytest.mark.parametrize("extra_layer", ["none", "first", "last"])
def test_the_forecast_bytes_are_those_that_a_fused_decoder_holds(size, extra_layer):
    z_axis = "volume" if len(size) == 3 else "frames"
    changes = {"generator.n_channels": 64, "z_axis": z_axis, "snapshot_memory": 1e-6}
    config = SMALL.replace(changes | {"generator.extra_layer": extra_layer})
    run = DenoiseTask(noisy(*size), config)
    next(iter(run))
    generator = run._now.fit.generator
    assert isinstance(generator, FusedDecoder)
    held = sum(x.nbytes for x in [*generator._z, generator._scratch]) + 4 * sum(
        p.nbytes for p in generator.parameters()
    )
    assert held <= run.n_bytes <= 1.2 * held + 100 * noisy(*size).nbytes


def test_plain_pytorch_needs_several_times_the_memory():
    image = noisy(256, 256)
    config = SMALL.replace({"generator.n_channels": 128})
    fused, plain = (DenoiseTask(image, config.replace({"backend": name})).n_bytes for name in ("numba", "torch"))
    assert plain > 3 * fused


def test_snapshots_count_but_no_further_than_their_bound():
    image = noisy(64, 64)
    few, many, bound = (
        DenoiseTask(image, SMALL.replace({"n_steps": n, "snapshot_memory": memory})).n_bytes
        for n, memory in ((1, 1024), (2000, 1024), (2000, 1))
    )
    assert few + 2**20 < many
    assert few < bound <= few + 2**20


def test_a_fit_that_memory_cannot_hold_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda device: 2**16)
    with pytest.raises(ShortMemoryError, match=r"needs about .* only 64 KiB are free on cpu\. Crop the image"):
        DenoiseTask(noisy(64, 64), SMALL)


@pytest.mark.parametrize(
    "make",
    [
        lambda image: DenoiseTask(image, SMALL.replace({"tiles.size": "whole"})),
        lambda image: ReconstructTask(image, problem="inpaint"),
        lambda image: ReconstructTask(image, problem="deblur"),
        lambda image: ReconstructTask(image, problem="enlarge"),
    ],
)
def test_a_frame_that_memory_cannot_hold_is_refused_before_it_is_looked_at(monkeypatch, make):
    image = np.broadcast_to(noisy(1000, 1), (1000, 1000)).copy()
    image[::2, ::3] = np.nan
    monkeypatch.setattr(module, "free_bytes", lambda device: image.nbytes)
    monkeypatch.setattr(Measured, "of", lambda *_: pytest.fail("the frame was looked at"))
    with pytest.raises(ShortMemoryError, match=r"needs about 8\.6 MiB of memory, but only 3\.8 MiB"):
        make(image)


def test_the_time_counts_the_smoothest_image_which_takes_long_in_large_holes(monkeypatch):
    def slow(problem, weights=None, n_steps=0):
        assert n_steps == N_TIMED
        time.sleep(0.05)

    monkeypatch.setattr(guides, "least_curved", slow)
    hole, line = np.zeros((2, 80, 80), bool)
    hole[10:70, 10:70] = line[10:12] = True
    long, short = (
        ReconstructTask(noisy(80, 80), "quick", problem="inpaint", is_missing=mask).forecast().before.wall
        for mask in (hole, line)
    )
    assert short < 2 * 1800 / N_TIMED * 0.05 < long
    scattered = np.random.default_rng(0).random((80, 80)) < 0.5
    assert (
        ReconstructTask(noisy(80, 80), "quick", problem="inpaint", is_missing=scattered).forecast().before.wall < long
    )


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda x: DenoiseTask(x, SMALL), "Crop the image, or use fewer channels (generator.n_channels)."),
        (lambda x: DenoiseTask(x, SMALL, axes="ZYX"), "(generator.n_channels)."),
        (
            lambda x: DenoiseTask(x, SMALL.replace({"z_axis": "volume"}), axes="ZYX"),
            "(generator.n_channels); a Z axis can be fitted as frames.",
        ),
        (lambda x: ReconstructTask(x[0], "quick", problem="deblur"), "cpu. Crop the image."),
        (
            lambda x: ReconstructTask(x[0], "quick", problem="enlarge"),
            "cpu. Crop the image, or choose a smaller factor.",
        ),
        (
            lambda x: ReconstructTask(x, "deep-decoder", problem="deblur", axes="ZYX", changes={"z_axis": "volume"}),
            "cpu. Crop the image, or use fewer channels (generator.n_channels).",
        ),
    ],
)
def test_advice_on_memory_names_what_can_be_changed(monkeypatch, make, advice):
    monkeypatch.setattr(module, "free_bytes", lambda device: 2**10)
    with pytest.raises(ShortMemoryError) as raised:
        make(noisy(20, 40, 40))
    assert str(raised.value).endswith(advice)


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_runs_out_becomes_advice_and_what_the_fit_held_is_free(monkeypatch, error):
    run = DenoiseTask(noisy(2, 20, 24), SMALL)
    held = []
    advance = Fit._advance

    def run_out(fit):
        if run.has_result and fit.step == 3:
            held.append(weakref.ref(fit.generator))
            raise error
        return advance(fit)

    monkeypatch.setattr(Fit, "_advance", run_out)
    with pytest.raises(ShortMemoryError, match=r"Memory ran out on cpu\. Crop the image") as raised:
        list(run)
    error.__traceback__ = None  # the test's own hold on it
    assert raised.value.__context__ is None
    gc.collect()
    assert held[0]() is None
    result = run.result()  # the frame that was finished is not lost
    assert len(result.frames) == 1
    np.testing.assert_array_equal(result.image[1], run.image[1])


def test_another_error_of_a_fit_is_not_taken_for_short_memory(monkeypatch):
    def fail(fit):
        raise RuntimeError("something else")

    monkeypatch.setattr(Fit, "_advance", fail)
    with pytest.raises(RuntimeError, match="something else"):
        list(DenoiseTask(noisy(20, 24), SMALL))


def test_a_precision_that_plain_pytorch_has_not_is_refused():
    with pytest.raises(ConfigError, match="computed by 'torch' cannot have precision"):
        DenoiseTask(noisy(20, 24), SMALL.replace({"backend": "torch", "precision": "bfloat16"}))


def test_threads_can_be_spared_for_a_window(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert DenoiseTask(noisy(20, 24), SMALL, n_spared_threads=1).n_threads == 3
    assert DenoiseTask(noisy(20, 24), SMALL.replace({"n_threads": 2}), n_spared_threads=1).n_threads == 2
    assert DenoiseTask(noisy(20, 24), SMALL).n_threads == 4


def test_sizes_durations_and_places_in_words():
    assert [format_bytes(n) for n in (0, 100_000, 310 * 2**20, 2.5 * 2**30)] == [
        "0.0 KiB",
        "98 KiB",
        "310 MiB",
        "2.5 GiB",
    ]
    assert [format_seconds(s) for s in (4.21, 45, 200, 7500)] == ["4.2 s", "45 s", "3 min 20 s", "2 h 5 min"]
    assert [format_each(s) for s in (0.0042, 0.9, 4.67, 45)] == ["4 ms", "900 ms", "4.7 s", "45 s"]
    assert [format_place("cpu", "numba", n) for n in (1, 2)] == ["cpu (numba, 1 thread)", "cpu (numba, 2 threads)"]
    assert format_place("cuda", "triton", 8) == "cuda (triton)"
