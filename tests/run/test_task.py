"""What all verbs have in common."""

import inspect
import math

import numpy as np
import pytest
import torch

from napari_convgen import (
    CompareFitsTask,
    CompareTask,
    Config,
    DenoiseTask,
    SpectrumTask,
    compare,
    compare_fits,
    denoise,
    spectrum,
)
from napari_convgen.errors import ConfigError, FitError, InputError, ShortMemoryError
from napari_convgen.run.task import Progress

QUICK = Config().replace(
    {"generator.n_channels": 8, "n_steps": 12, "n_threads": 1, "device": "cpu", "noise.kind": "gaussian"}
)

TASKS = {
    "denoise": lambda image, **options: DenoiseTask(image, QUICK, **options),
    "compare": lambda image, **options: CompareTask(image, QUICK, methods=("nlm", "convgen"), **options),
    "compare_fits": lambda image, **options: CompareFitsTask(image, QUICK, **options),
    "spectrum": lambda image, **options: SpectrumTask(image, QUICK, rank=3, n_passes=1, **options),
}
EACH = pytest.mark.parametrize("make", TASKS.values(), ids=TASKS)


def noisy(shape=(20, 24), seed=0):
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    return 100 + 40 * np.sin(x / 4) * np.cos(y / 5) + np.random.default_rng(seed).normal(0, 10, shape)


def test_the_functions_take_the_same_arguments_in_the_same_order():
    order = ["image", "config", "axes", "reference", "data_range", "seed", "device", "callback"]
    for function in (denoise, compare, compare_fits, spectrum):
        names = list(inspect.signature(function).parameters)
        shared = [name for name in names if name in order]
        assert names[: len(shared)] == shared == [name for name in order if name in shared]
        assert {"image", "config", "axes", "seed", "device", "callback"} <= set(shared)
    order = ["image", "config", "axes", "reference", "data_range", "n_spared_threads"]
    for task in (DenoiseTask, CompareTask, CompareFitsTask, SpectrumTask):
        names = list(inspect.signature(task).parameters)
        shared = [name for name in names if name in order]
        assert names[: len(shared)] == shared == [name for name in order if name in shared]


class Half(Progress):
    share = 0.5


class Nothing(Progress):
    share = 0.0


def test_the_time_that_is_left_is_unknown_while_nothing_is_done():
    assert Half(seconds=3).seconds_left == 3
    assert Nothing(seconds=3).seconds_left == math.inf


@EACH
def test_progress_goes_to_the_end_and_a_task_that_was_left_goes_on(make, monkeypatch):
    monkeypatch.setattr("napari_convgen.run.task.STATUS_SECONDS", 0)
    task = make(noisy())
    steps = iter(task)
    shares = [next(steps).share for _ in range(3)]
    steps.close()
    shares += [progress.share for progress in task]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert shares[-1] > 0.9
    assert task.has_result
    task.result()
    assert list(task) == []


@EACH
def test_a_task_that_has_not_begun_has_no_result_or_an_empty_one(make):
    task = make(noisy())
    if isinstance(task, CompareTask):
        assert task.result().methods == ()
        return
    assert not task.has_result
    with pytest.raises(FitError):
        task.result()


@EACH
def test_a_forecast_says_memory_and_time_and_changes_nothing(make):
    image, threads = noisy(), torch.get_num_threads()
    task = make(image)
    forecast = task.forecast()
    assert forecast.n_bytes > 0
    assert forecast.seconds > 0
    assert "of memory" in str(forecast)
    assert torch.get_num_threads() == threads
    assert not isinstance(task, DenoiseTask) or np.array_equal(task.finish().image, make(image).finish().image)


@EACH
def test_memory_that_runs_out_is_advice(make, monkeypatch):
    def run_out(*_):
        raise torch.OutOfMemoryError("CUDA")
        yield

    task = make(noisy())
    monkeypatch.setattr(type(task), "_advance", run_out)
    with pytest.raises(ShortMemoryError, match=r"Memory ran out on cpu\. Crop the image"):
        list(task)


@EACH
@pytest.mark.parametrize(
    ("image", "error", "sentence"),
    [
        (np.zeros((9, 9)), InputError, "constant"),
        (np.zeros((0, 9)), InputError, "no pixels"),
        (np.full((9, 9), 1j), InputError, "complex values"),
        (np.where(np.eye(9) > 0, np.inf, noisy((9, 9))), InputError, "9 infinite values"),
        (np.ma.masked_less(noisy((9, 9)), 90), InputError, "masked array"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(make, image, error, sentence):
    with pytest.raises(error, match=sentence):
        make(image)


@pytest.mark.parametrize("verb", [denoise, compare, compare_fits, spectrum])
def test_a_preset_goes_by_its_name_and_an_unknown_one_is_refused(verb):
    with pytest.raises(ConfigError, match="There is no preset 'nice'"):
        verb(noisy(), "nice")
