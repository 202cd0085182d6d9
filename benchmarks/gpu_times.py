"""Times and memory for gpu.py: the machine, a step, whole fits, and a fit's memory against its forecast."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gpu_items import Items, Row, Write
from speed_floor import memory_speed, operations, product_speed, traffic
from speed_methods import (
    AUTHORS,
    CHANNELS_LAST,
    FUSED,
    FUSED_BFLOAT16,
    FUSED_PRESET,
    UNFUSED,
    Case,
    Machine,
    Training,
)

# It sets how PyTorch's threads wait, so it comes before PyTorch.
# isort: split
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_convgen import PRESETS, Config, DenoiseTask
from napari_convgen.core.fit.cuda_graph import N_WARM_UP
from napari_convgen.core.quality.metrics import psnr, reference_range
from napari_convgen.run.denoise.result import versions
from napari_convgen.run.setup.devices import why_unusable
from napari_convgen.samples import fluorescence

MEBIBYTE = 2**20

CASES = (
    Case((256, 256), 128),
    Case((512, 512), 128),
    Case((512, 512), 512),
    Case((1024, 1024), 128),
    Case((2048, 2048), 128),
)
"""Images whose steps are timed: those of speed.py, and one four times as large, which fits into the memory of a GPU."""

TINY_CASES = (Case((32, 32), 8, n_scales=2),)
"""Image of a rehearsal."""

METHODS = ((FUSED, AUTHORS), (FUSED_PRESET, FUSED_BFLOAT16, CHANNELS_LAST, UNFUSED))
"""Methods that are timed; for all cases the first first, lest time run out."""

STEPS_SECONDS, MIN_STEPS, MAX_STEPS = 0.8, 5, 100
"""Time for the timed steps of a method, in seconds, and their least and largest number: a median that varies by a percent."""

FIT_SECONDS = 22.0
"""Time after which a whole fit is stopped, in seconds; what it would take to its last step is then told by its pace."""

N_MEMORY_STEPS = 6
"""Number of steps whose peak memory is measured: eager ones, one that is captured, and replays."""


def machine_of(device: str) -> Machine:
    """Return the machine, for the methods of speed.py."""
    return Machine(torch.device(device), torch.get_num_threads())


def facts(device: str) -> Items:
    """Return the facts on which the numbers depend."""
    return {"machine": partial(_facts, device), "backends": _backends, "speeds": partial(_speeds, device)}


def _facts(device: str, write: Write) -> None:
    for line in machine_of(device).facts().splitlines():
        name, _, value = line.removeprefix("- ").partition(": ")
        write({"fact": name, "value": value})
    found: Row = {"CUDA of PyTorch": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found["compute capability"] = f"{properties.major}.{properties.minor}"
        found["memory of the GPU (GiB)"] = properties.total_memory / 2**30
        found["multiprocessors"] = properties.multi_processor_count
        found["precision of matrix products"] = torch.get_float32_matmul_precision()
        found["driver"] = _output(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    found["commit"] = _output(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"])
    found["system"] = platform.platform()
    for name, value in found.items():
        write({"fact": name, "value": value})


def _output(command: list[str]) -> str | None:
    """Return what a program prints; ``None`` if it is not there or fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def _backends(write: Write) -> None:
    for backend in ("numba", "triton"):
        write({"backend": backend, "why it cannot be used": why_unusable(backend), "version": versions().get(backend)})


def _speeds(device: str, write: Write) -> None:
    copies, products = speeds(device)
    write({"speed": "copy in memory, TB/s", "value": copies / 1e12})
    for precision, speed in products.items():
        write({"speed": f"matrix product in {precision}, TFLOP/s", "value": speed / 1e12})


@functools.cache
def speeds(device: str) -> tuple[float, dict[str, float]]:
    """Return the bytes per second of a copy, and the operations per second of a product in each precision."""
    machine = machine_of(device)
    n, n_values = (8192, 2**28) if device == "cuda" else (256, 2**20)
    products = {precision: product_speed(precision, machine, n) for precision in ("float32", "bfloat16")}
    return memory_speed(machine, n_values), products


def steps(device: str) -> Items:
    """Return the timings of steps: an item for each method and case."""
    cases = CASES if device == "cuda" else TINY_CASES
    return {
        f"{case}, {method}": partial(_steps, case, method, device)
        for methods in METHODS
        for case in cases
        for method in methods
    }


def _steps(case: Case, method: str, device: str, write: Write) -> None:
    machine = machine_of(device)
    machine.use()
    speeds(device)  # before the peak of memory is forgotten
    _allocated(device == "cuda")
    started = time.perf_counter()
    training = Training.of(method, case, machine)
    for _ in range(N_WARM_UP + 2):  # compiled, and captured
        training.step()
    machine.wait()
    warm_up = time.perf_counter() - started
    times = step_times(training.step, machine)
    median = statistics.median(times)
    precision = "bfloat16" if method == FUSED_BFLOAT16 else "float32"
    copies, products = speeds(device)
    least = operations(case) / products[precision] + traffic(case) / copies
    is_fused = method in (FUSED, FUSED_BFLOAT16)
    write(
        {
            "image": str(case),
            "method": method,
            "ms a step": 1000 * median,
            "shortest": 1000 * min(times),
            "longest": 1000 * max(times),
            "steps": len(times),
            "warm-up (s)": warm_up,
            "floor (ms)": 1000 * least if is_fused else None,
            "step / floor": median / least if is_fused else None,
            "peak (MiB)": torch.cuda.max_memory_allocated() / MEBIBYTE if device == "cuda" else None,
        }
    )


def step_times(step: Callable[[], object], machine: Machine) -> list[float]:
    """Return the seconds of single steps, by events of the device or, on a CPU, by the clock."""
    started = time.perf_counter()
    step()
    machine.wait()
    n = int(min(MAX_STEPS, max(MIN_STEPS, STEPS_SECONDS / (time.perf_counter() - started))))
    if machine.device.type != "cuda":
        clock = [time.perf_counter()]
        for _ in range(n):
            step()
            clock.append(time.perf_counter())
        return list(np.diff(clock))
    events = [torch.cuda.Event(enable_timing=True) for _ in range(n + 1)]
    events[0].record()
    for event in events[1:]:
        step()
        event.record()
    machine.wait()
    return [before.elapsed_time(after) / 1000 for before, after in itertools.pairwise(events)]


@dataclasses.dataclass(frozen=True)
class Sample:
    """A noisy image, its clean reference, and their axes."""

    noisy: NDArray[Any]
    clean: NDArray[Any]
    axes: str


def image(side: int) -> Sample:
    """Return the sample image of fluorescence with that many pixels along each side: cropped, or enlarged, with new noise."""
    clean = fluorescence().clean.astype(np.float64)
    clean = ndimage.zoom(clean, side / len(clean), order=1) if side > len(clean) else clean[:side, :side]
    return _with_noise(clean, "YX")


def volume(depth: int, side: int) -> Sample:
    """Return a volume: the middle of the sample image, ever more out of focus."""
    clean = fluorescence().clean.astype(np.float64)
    planes = [ndimage.gaussian_filter(clean, abs(z - depth // 2) / 4) for z in range(depth)]
    start = (len(clean) - side) // 2
    return _with_noise(np.stack(planes)[:, start : start + side, start : start + side], "ZYX")


def _with_noise(clean: NDArray[Any], axes: str) -> Sample:
    """Add the noise of `napari_convgen.samples.fluorescence`: gain 2, offset 100, and read noise of 4 counts."""
    rng = np.random.default_rng(0)
    noisy = 2 * rng.poisson((clean - 100).clip(0) / 2) + 100 + rng.normal(0, 4, clean.shape)
    return Sample(noisy.astype(np.float32), clean.astype(np.float32), axes)


def fits(device: str) -> Items:
    """Return whole fits."""
    sides, depth, side, changes = (256, 1024), 32, 128, {"device": device}
    if device == "cpu":
        sides, depth, side, changes = (32,), 8, 16, changes | {"n_steps": 4}
    cases = {}
    for n in sides:
        for name in ("default", "guided-network"):
            cases[f"{name}, {n} × {n}"] = partial(image, n), PRESETS[name].replace(changes)
    in_depth = PRESETS["default"].replace(changes | {"z_axis": "volume"})
    cases[f"default, {depth} × {side} × {side}"] = partial(volume, depth, side), in_depth
    first = next(iter(cases))
    cases[f"{first}, again"] = cases[first]
    return {name: partial(_fit, name, *case) for name, case in cases.items()}


def _fit(name: str, make: Callable[[], Sample], config: Config, write: Write) -> None:
    sample = make()
    started = time.perf_counter()
    task = DenoiseTask(sample.noisy, config, axes=sample.axes)
    is_cut = False
    for _ in task:
        if not is_cut and time.perf_counter() - started > FIT_SECONDS:
            task.stop()
            is_cut = True
    result = task.result()
    seconds = time.perf_counter() - started
    n_steps = len(result.frames[0].loss)
    data_range = reference_range(sample.clean)
    write(
        {
            "fit": name,
            "backend": task.prepared.backend,
            "seconds": seconds,
            "steps": n_steps,
            "steps at most": config.n_steps,
            "ended by": "the benchmark" if is_cut else result.reason.outcome.value,
            "ms a step": 1000 * seconds / n_steps,
            "seconds for all steps": seconds / n_steps * config.n_steps,
            "kept step": result.step,
            "PSNR before (dB)": psnr(sample.noisy, sample.clean, data_range),
            "PSNR (dB)": psnr(result.image, sample.clean, data_range),
        }
    )


def memory(device: str) -> Items:
    """Return the comparisons of forecasts with what a few steps take."""
    sides = {"default": (256, 1024, 2048), "guided-network": (256, 1024), "paper": (512,), "paper-narrow": (1024,)}
    sides["deep-image-prior"] = (512,)
    others: dict[str, dict[str, Any]] = {
        "default, plain PyTorch": {"backend": "torch"},
        "convolutional": {"generator.kind": "convolutional"},
        "two-layer": {"generator.kind": "two-layer"},
    }
    other_side, depth, side, changes = 512, 32, 128, {"device": device, "n_steps": N_MEMORY_STEPS}
    if device == "cpu":
        sides, other_side, depth, side = dict.fromkeys(sides, (64,)), 32, 8, 16
        changes |= {"generator.n_channels": 4, "n_steps": 2}
    cases = {
        f"{name}, {n} × {n}": (partial(image, n), PRESETS[name].replace(changes)) for name in sides for n in sides[name]
    }
    for name, more in others.items():
        cases[f"{name}, {other_side} × {other_side}"] = partial(image, other_side), Config().replace(changes | more)
    for name in ("default", "guided-network"):
        config = PRESETS[name].replace(changes | {"z_axis": "volume"})
        cases[f"{name}, {depth} × {side} × {side}"] = partial(volume, depth, side), config
    return {name: partial(_memory, name, *case, device) for name, case in cases.items()}


def _memory(name: str, make: Callable[[], Sample], config: Config, device: str, write: Write) -> None:
    sample, is_cuda = make(), device == "cuda"
    before = _allocated(is_cuda)
    task = DenoiseTask(sample.noisy, config, axes=sample.axes)
    n_bytes, n_on_device = task.n_bytes, task.prepared.generator_bytes()
    task.finish()
    peak = torch.cuda.max_memory_allocated() - before if is_cuda else None
    reserved = torch.cuda.max_memory_reserved() / MEBIBYTE if is_cuda else None
    forecast = task.forecast()
    write(
        {
            "fit": name,
            "backend": task.prepared.backend,
            "forecast (MiB)": n_bytes / MEBIBYTE,
            "of it the generator (MiB)": n_on_device / MEBIBYTE,
            "peak on the device (MiB)": None if peak is None else peak / MEBIBYTE,
            "peak reserved (MiB)": reserved,
            "generator's forecast / peak": None if peak is None else n_on_device / peak,
            "forecast of a step (ms)": 1000 * forecast.step.wall,
        }
    )


def _allocated(is_cuda: bool) -> int:
    """Return the bytes in use on the GPU, and forget the peak."""
    if not is_cuda:
        return 0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()
