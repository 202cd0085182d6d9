import gc
import tracemalloc
import weakref

import numpy as np
import pytest

from napari_convgen import Config, DenoiseTask, Image, denoise
from napari_convgen.config import preset
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.optics.point_spread import PointSpread
from napari_convgen.errors import InputError
from napari_convgen.run.setup.inputs import resolve_config
from napari_convgen.run.setup.prepared import Prepared

QUICK = Config().replace({"generator.n_channels": 8, "n_steps": 3, "n_threads": 1, "device": "cpu", "n_seeds": 1})


def frames(n=4, shape=(12, 13)):
    return np.stack([100 + 10 * np.random.default_rng(i).standard_normal(shape) for i in range(n)])


class Lazy:
    """An array that counts how often each frame is computed."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.n_reads = [0] * len(array)

    def __getitem__(self, index):
        self.n_reads[index[0]] += 1
        return self.array[index]


def test_a_lazy_array_computes_one_frame_before_the_start_and_each_once_in_all():
    lazy = Lazy(frames())
    task = DenoiseTask(lazy, QUICK)
    assert lazy.n_reads == [1, 0, 0, 0]
    result = task.finish()
    assert lazy.n_reads == [1, 1, 1, 1]
    np.testing.assert_array_equal(result.image, denoise(lazy.array, QUICK).image)


def test_constant_frames_are_read_up_to_the_first_that_there_is_something_to_fit_in():
    stack = frames()
    stack[:2] = 7
    lazy = Lazy(stack)
    prepared = Prepared(lazy, QUICK)
    assert lazy.n_reads == [1, 1, 1, 0]
    assert prepared.first_frame() == 2
    lazy.array[2:] = 7
    with pytest.raises(InputError, match="constant"):
        Prepared(lazy, QUICK)


def test_a_bad_frame_of_a_lazy_array_ends_the_run_and_what_was_done_is_kept():
    stack = frames()
    stack[2, 3, 4] = np.inf
    task = DenoiseTask(Lazy(stack), QUICK)
    with pytest.raises(InputError, match=r"1 infinite values at [TZ] = 2"):
        list(task)
    result = task.result()
    assert [frame.number for frame in result.frames] == [0, 1]
    np.testing.assert_array_equal(result.image[2:], stack[2:])
    with pytest.raises(InputError, match="infinite values"):
        DenoiseTask(stack, QUICK)  # in memory: refused before anything starts


def test_an_image_brings_its_axes_and_the_distances_between_its_pixels():
    volume = Image(frames(5), axes="ZYX", scale=(0.5, 0.1, 0.1), units=("um",) * 3)
    prepared = Prepared(volume, QUICK.replace({"z_axis": "volume"}))
    assert (prepared.size, prepared.spacing) == ((5, 12, 13), (0.5, 0.1, 0.1))
    slices = Prepared(volume, QUICK)
    assert (slices.n_frames, slices.spacing) == (5, (0.1, 0.1))
    assert Prepared(volume, QUICK, axes="YXC").layout.axes == "YXC"
    assert Prepared(frames(5), QUICK).spacing is None
    mixed = Image(frames(5), axes="ZYX", scale=(0.5, 0.1, 0.1), units=("pixel", "um", "um"))
    assert Prepared(mixed, QUICK.replace({"z_axis": "volume"})).spacing is None


@pytest.mark.parametrize("kind", ["deep-decoder", "skip-network", "guided-network", "convolutional"])
def test_an_axis_whose_pixels_are_far_apart_is_halved_less(kind):
    config = QUICK.replace({"z_axis": "volume", "generator.kind": kind})
    if kind == "convolutional":
        config = config.replace({"generator.convolution": "transposed", "generator.n_layers": 2})
    near, far = (Prepared(Image(frames(40), axes="ZYX", scale=(apart, 1.0, 1.0)), config) for apart in (1.0, -30.0))
    assert far.spacing == (30, 1, 1)
    assert far.generator_bytes() > near.generator_bytes()
    inputs = far.scaled(0)
    assert far.generator(inputs, [0], 0, "torch").eval()().shape == (1, 1, 40, 12, 13)


def test_a_configuration_goes_by_itself_by_name_and_with_changes():
    assert resolve_config(None) == preset("default")
    assert resolve_config("paper") == preset("paper")
    assert resolve_config(QUICK) == QUICK
    assert resolve_config("paper", {"seed": 3, "n_steps": None}) == preset("paper").replace({"seed": 3})


def test_fits_of_a_stack_are_freed_frame_by_frame_without_the_garbage_collector(monkeypatch):
    alive, begun = [], []
    start = Fit.__init__

    def count(fit, *arguments):
        begun.append(sum(ref() is not None for ref in alive))
        alive.append(weakref.ref(fit))
        start(fit, *arguments)

    monkeypatch.setattr(Fit, "__init__", count)
    gc.disable()
    try:
        DenoiseTask(frames(4), QUICK).finish()
    finally:
        gc.enable()
    assert begun == [0, 0, 0, 0]


def test_the_forecast_of_a_stack_counts_kept_snapshots_and_the_result():
    stack = frames(12, (64, 64)).astype(np.float32)
    config = QUICK.replace({"n_steps": 2, "snapshot_memory": 0.01})
    one, all_frames = (DenoiseTask(stack[:n], config).n_bytes for n in (1, 12))
    per_frame = 64 * 64 * 4
    assert all_frames - one == 11 * (2 * 2 * per_frame + per_frame)  # two snapshots of two images, and the result


@pytest.mark.parametrize("is_lazy", [False, True])
def test_frames_are_not_copied_on_the_way(is_lazy):
    stack = frames(3, (64, 64))
    prepared = Prepared(Lazy(stack) if is_lazy else stack, QUICK)
    tracemalloc.start()
    prepared.frame(0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < stack[0].nbytes / 2
    assert np.shares_memory(prepared.frame(0), stack)


def test_negative_magnitudes_of_any_frame_are_refused_before_the_start():
    magnitudes, config = frames(3), QUICK.replace({"noise.kind": "rician"})
    Prepared(magnitudes, config)
    magnitudes[2, 3:9, 4:9] -= 200
    with pytest.raises(InputError, match="not negative"):
        Prepared(magnitudes, config)


def test_the_weights_of_a_frame_stay_with_it_whatever_frame_is_looked_at_next():
    rng = np.random.default_rng(0)
    photons = rng.poisson(np.linspace(20, 400, 40) * np.ones((2, 32, 40))).astype(np.float32)
    config = QUICK.replace({"noise.kind": "poisson-gaussian", "stopping.kind": "held-out"})
    prepared = Prepared(
        photons,
        config,
        axes="TYX",
        operator=lambda shape: blurring(shape, PointSpread.of(np.outer([1.0, 2, 1], [1.0, 2, 1]))),
    )
    first = prepared.scaled(0)
    weights = prepared.problem(first).weights
    prepared.scaled(1)
    assert float(weights.std()) > 0.1
    assert np.array_equal(prepared.problem(first).weights, weights)


def test_the_forward_operator_is_built_once_to_be_checked():
    shapes = []

    def operator(shape):
        shapes.append(tuple(shape))
        return blurring(shape, PointSpread.of(np.outer([1.0, 2, 1], [1.0, 2, 1])))

    Prepared(frames(2), QUICK, operator=operator)
    assert shapes == [(1, 12, 13)]
