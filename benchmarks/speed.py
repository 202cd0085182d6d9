"""How fast the package is, and how much memory it takes, against plain PyTorch on the same machine.

    python benchmarks/speed.py [--device cuda] [--threads N] [--part steps] [--quick]

Times of a step, peak memory, a volume, the time until an image is as good as the authors' network makes it, and whether
the faster ways reach the same quality. Prints each table as it is done and writes all to benchmarks/results/speed.md. On two
CPU cores it takes half an hour; leave the machine alone meanwhile: threads that wait for each other suffer most from others.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import napari_convgen.run  # noqa: F401  sets how PyTorch's threads wait, so it comes before PyTorch

# isort: split
import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from skimage.transform import downscale_local_mean
from torch import Tensor, nn

from napari_convgen import PRESETS, DenoiseTask
from napari_convgen.core.fit.cuda_graph import CapturedStep
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.fused import fuse
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.denoise.result import versions
from napari_convgen.run.setup.devices import resolve_backend
from twins import PlainDecoder, check_twins

TURN_SECONDS = 0.2
"""A method takes as many steps as last this long before it is the next one's turn, but one at least."""

TOLERANCE = 0.1
"""An image is as good as another when its PSNR is at most this many dB less."""


@dataclass(frozen=True)
class Case:
    """An image of one channel and the decoder fitted to it."""

    size: tuple[int, ...]
    n_channels: int
    n_scales: int = 5

    def __str__(self) -> str:
        return f"{' × '.join(map(str, self.size))}, k = {self.n_channels}"


CASES = [Case((256, 256), 128), Case((512, 512), 128), Case((512, 512), 512), Case((1024, 1024), 128)]
VOLUME = Case((32, 128, 128), 64, n_scales=3)


@dataclass(frozen=True)
class Machine:
    """Where the benchmark runs; each process must `use` it."""

    device: torch.device
    n_threads: int

    @property
    def backend(self) -> str:
        """Of the fused decoder."""
        return resolve_backend("auto", self.device)

    def use(self) -> None:
        """Set the number of threads."""
        torch.set_num_threads(self.n_threads)

    def wait(self) -> None:
        """Wait for what has been asked of the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def facts(self) -> str:
        """Return a list of what the numbers depend on."""
        is_cuda = self.device.type == "cuda"
        facts = {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads used": torch.get_num_threads(),
            "others' load before": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else None,
            "vector instructions": torch.backends.cpu.get_cpu_capability(),
            "GPU": torch.cuda.get_device_name(self.device) if is_cuda else None,
            "TF32 in plain PyTorch's convolutions": torch.backends.cudnn.allow_tf32 if is_cuda else None,
            "backend of the fused decoder": self.backend,
            "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        }
        return "".join(f"- {name}: {value}\n" for name, value in facts.items() if value is not None)


# Methods


def decoder(case: Case, device: torch.device, **settings: object) -> DeepDecoder:
    """Return the decoder of a case, of the paper's formula unless settings say otherwise."""
    rngs = [torch.Generator().manual_seed(0)]
    return DeepDecoder(case.size, 1, n_channels=case.n_channels, n_scales=case.n_scales, rngs=rngs, **settings).to(
        device
    )


def _authors(case: Case, machine: Machine) -> nn.Module:
    return PlainDecoder.of(decoder(case, machine.device, extra_layer="last"))


def _formula(case: Case, machine: Machine) -> nn.Module:
    return PlainDecoder.of(decoder(case, machine.device))


def _channels_last(case: Case, machine: Machine) -> nn.Module:
    return _formula(case, machine).to(memory_format=torch.channels_last)


def _unfused(case: Case, machine: Machine) -> nn.Module:
    return decoder(case, machine.device)


def _fused(case: Case, machine: Machine) -> nn.Module:
    return fuse(decoder(case, machine.device), machine.backend)


def _fused_authors(case: Case, machine: Machine) -> nn.Module:
    return fuse(decoder(case, machine.device, extra_layer="last"), machine.backend)


def _fused_default(case: Case, machine: Machine) -> nn.Module:
    preset = PRESETS["default"]
    settings = preset.generator.model_dump(exclude={"kind", "n_channels", "n_scales"})
    return fuse(decoder(case, machine.device, **settings), machine.backend, preset.precision)


def _fused_bfloat16(case: Case, machine: Machine) -> nn.Module:
    return fuse(decoder(case, machine.device), machine.backend, "bfloat16")


AUTHORS, FORMULA, CHANNELS_LAST = "authors' network", "formula", "formula, channels-last"
UNFUSED, FUSED, FUSED_DEFAULT, FUSED_BFLOAT16 = "unfused", "fused", "fused, default preset", "fused, bfloat16"

METHODS: dict[str, Callable[[Case, Machine], nn.Module]] = {
    AUTHORS: _authors,
    FORMULA: _formula,
    CHANNELS_LAST: _channels_last,
    UNFUSED: _unfused,
    FUSED: _fused,
    FUSED_DEFAULT: _fused_default,
    FUSED_BFLOAT16: _fused_bfloat16,
}

LEGEND = f"""\
- **{AUTHORS}**, **{FORMULA}**: plain PyTorch, channels first: 1×1 convolutions, `nn.Upsample`, ReLU, batch norm. The
  authors' network has one hidden layer more than the paper's formula, on the finest grid.
- **{CHANNELS_LAST}**: the same in PyTorch's channels-last memory format.
- **{UNFUSED}**: the package's plain twin of the formula, backend `torch`.
- **{FUSED}**: the package's fused decoder; the same function as the three before, from the same start.
- **{FUSED_DEFAULT}**: with the settings of the preset `default`, but the k and the scales of the row.
- **{FUSED_BFLOAT16}**: the formula with the factors of the matrix products in bfloat16.
"""


class Training:
    """A generator, a target and Adam: what takes the steps that are timed."""

    def __init__(self, generator: nn.Module, target: Tensor) -> None:
        self.generator = generator
        self.target = target
        self._take_step = self._move
        if isinstance(generator, PlainDecoder):
            self.optimizer = torch.optim.Adam(generator.parameters(), lr=0.01)
        else:  # what the package does in a fit
            is_cuda = target.device.type == "cuda"
            self.optimizer = torch.optim.Adam(generator.parameters(), lr=0.01, fused=True, capturable=is_cuda)
            if is_cuda:
                self._take_step = CapturedStep(self._move)

    @classmethod
    def of(cls, method: str, case: Case, machine: Machine) -> Training:
        """Set up a method with a random target."""
        target = torch.rand((1, 1, *case.size), generator=torch.Generator().manual_seed(0)).to(machine.device)
        return cls(METHODS[method](case, machine), target)

    def step(self) -> Tensor:
        """Take a step: forward, backward, Adam. Return the image before it."""
        return self._take_step()[0]

    def _move(self) -> tuple[Tensor, ...]:
        image = self.generator()
        self.optimizer.zero_grad()
        F.mse_loss(image, self.target).backward()
        self.optimizer.step()
        return (image.detach(),)


# Time of a step


def pace(work: Callable[[], object], machine: Machine) -> float:
    """Do some work as often as a turn allows, and return the seconds that it takes once."""
    n = 1
    while True:
        started = time.perf_counter()
        for _ in range(n):
            work()
        machine.wait()
        seconds = time.perf_counter() - started
        if seconds >= TURN_SECONDS:
            return seconds / n
        n = math.ceil(1.2 * n * TURN_SECONDS / seconds)


def step_times(methods: Sequence[str], case: Case, machine: Machine, n_turns: int) -> dict[str, float]:
    """Return the median seconds of a step of each method; the methods take turns, the first one to warm up."""
    _say(f"time of a step: {case}")
    trainings = {method: Training.of(method, case, machine) for method in methods}
    _check_same_image([trainings[method] for method in methods if method in (FORMULA, CHANNELS_LAST, UNFUSED, FUSED)])
    turns = [
        {method: pace(training.step, machine) for method, training in trainings.items()} for _ in range(1 + n_turns)
    ]
    return {method: statistics.median(turn[method] for turn in turns[1:]) for method in methods}


@torch.no_grad()
def _check_same_image(trainings: list[Training]) -> None:
    first, *others = (training.generator() for training in trainings)
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=5e-3)  # TF32 has ten bits


def steps_section(cases: Sequence[Case], machine: Machine, n_turns: int) -> str:
    times = {case: step_times(list(METHODS), case, machine, n_turns) for case in cases}
    head = ["ms a step", *METHODS, "authors' / fused", "channels-last / fused"]
    rows = []
    for case, seconds in times.items():
        ratios = [seconds[AUTHORS] / seconds[FUSED], seconds[CHANNELS_LAST] / seconds[FUSED]]
        rows.append([str(case), *map(_milliseconds, seconds.values()), *map(_ratio, ratios)])
    text = f"### A step\n\nForward, backward and Adam; one output channel, five scales.\n\n{LEGEND}\n{markdown_table(head, rows)}"
    return text + (floor_section(times, machine) if machine.device.type == "cuda" else "")


# Several nets at once

TOGETHER = [Case((128, 128), 64, n_scales=3), Case((256, 256), 64, n_scales=4)]
N_MEMBERS = [1, 2, 4]


def together_section(machine: Machine, n_turns: int) -> str:
    rows = []
    for case in TOGETHER:
        for n_members in N_MEMBERS:
            _say(f"several nets: {case}, {n_members}")
            target = torch.rand((1, 1, *case.size), generator=torch.Generator().manual_seed(0)).to(machine.device)
            batched = Training(_members(case, machine, range(n_members)), target.expand(n_members, -1, *case.size))
            alone = [Training(_members(case, machine, [seed]), target) for seed in range(n_members)]
            works = batched.step, lambda alone=alone: [training.step() for training in alone]
            turns = [[pace(work, machine) for work in works] for _ in range(1 + n_turns)]
            together, one_by_one = (statistics.median(times) for times in zip(*turns[1:], strict=True))
            ratio = _ratio(one_by_one / together)
            rows.append([str(case), str(n_members), _milliseconds(together), _milliseconds(one_by_one), ratio])
    head = ["ms a step of all", "nets", "together", "one by one", "one by one / together"]
    return f"### Several nets at once\n\nThe preset `default`.\n\n{table(head, rows)}"


def _members(case: Case, machine: Machine, seeds: Sequence[int]) -> nn.Module:
    preset = PRESETS["default"]
    settings = preset.generator.model_dump(exclude={"kind", "n_channels", "n_scales"}) | {
        "n_channels": case.n_channels,
        "n_scales": case.n_scales,
    }
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    return fuse(DeepDecoder(case.size, 1, rngs=rngs, **settings).to(machine.device), machine.backend, preset.precision)


# The floor under a step's time on CUDA

TRAFFIC = 14
"""How often each value of a layer's tensors, before upsampling, crosses the memory in a step at least.

Without a tensor on the layer's own finer grid: its input is written once and read by two products (3), the product z is
written and read by moments, features, sums and adjoint (5), z's gradient is written and read by two products (3), and the
input's gradient is written and read by the sums and the adjoint of the layer before (3). All in float32, and as if no cache kept
any of it from one pass to the next.
"""


def floor_section(times: dict[Case, dict[str, float]], machine: Machine) -> str:
    copies = memory_speed(machine)
    rows, speeds = [], []
    for precision, method in {"float32": FUSED, "bfloat16": FUSED_BFLOAT16}.items():
        products = product_speed(precision, machine)
        speeds.append(f"{products / 1e12:.0f} TFLOP/s in {precision}")
        for case, seconds in times.items():
            least = operations(case) / products + traffic(case) / copies
            rows.append([str(case), precision, _milliseconds(least), _milliseconds(seconds[method])])
            rows[-1].append(_ratio(seconds[method] / least))
    head = ["ms a step", "precision", "floor", "fused", "fused / floor"]
    return (
        f"\n### The floor\n\nMatrix products and memory traffic of the formula at the speeds measured here: products at "
        f"{' and '.join(speeds)}, a copy at {copies / 1e12:.2f} TB/s.\n\n{markdown_table(head, rows)}"
    )


def operations(case: Case) -> int:
    """Count the floating-point operations of a step's matrix products between hidden layers."""
    # Forward, and the gradients with respect to the weights and to the input; the latent needs none.
    pixels = _coarse_pixels(case)
    return 2 * case.n_channels**2 * (3 * sum(pixels) - pixels[-1])


def traffic(case: Case) -> int:
    """Count the bytes that a step must move."""
    return TRAFFIC * case.n_channels * sum(_coarse_pixels(case)) * torch.float32.itemsize


def _coarse_pixels(case: Case) -> list[int]:
    """Pixels of each layer's tensors before upsampling, the finest first."""
    return [math.prod(case.size) // 2 ** (len(case.size) * i) for i in range(1, case.n_scales + 1)]


def product_speed(precision: str, machine: Machine, n: int = 8192) -> float:
    """Return the operations a second of a large matrix product."""
    x = torch.rand(n, n, device=machine.device).to(getattr(torch, precision))
    out = torch.empty_like(x)
    return 2 * n**3 / min(pace(lambda: torch.mm(x, x, out=out), machine) for _ in range(5))


def memory_speed(machine: Machine, n: int = 2**28) -> float:
    """Return the bytes a second of a large copy, reading and writing."""
    x = torch.rand(n, device=machine.device)
    out = torch.empty_like(x)
    return 2 * x.nbytes / min(pace(lambda: out.copy_(x), machine) for _ in range(5))


# Peak memory


def peak_memory(method: str, case: Case, machine: Machine) -> float:
    """Return the bytes that steps of a method take at their peak, in a fresh process; NaN where that cannot be measured."""
    _say(f"memory: {case}, {method}")
    if machine.device.type == "cpu" and not PROCESS.exists():
        return math.nan
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak_memory, method, case, machine).result()


def _peak_memory(method: str, case: Case, machine: Machine) -> int:
    machine.use()
    side = 2 ** (case.n_scales + 1)
    warm_up = dataclasses.replace(case, size=(side,) * len(case.size))
    Training.of(method, warm_up, machine).step()
    before, _ = _memory(machine)
    training = Training.of(method, case, machine)
    training.step()  # may try several kernels, which is none of a step's own memory
    _forget_peak(machine)
    training.step()
    _, peak = _memory(machine)
    return peak - before


PROCESS = Path("/proc/self")
"""What Linux says of a process. Unlike `resource.getrusage`, it does not begin with the peak of the process that started this one."""


def _memory(machine: Machine) -> tuple[int, int]:
    """Return the bytes in use now, and at their peak."""
    if machine.device.type == "cuda":
        return torch.cuda.memory_allocated(machine.device), torch.cuda.max_memory_allocated(machine.device)
    status = dict(line.split(":", 1) for line in (PROCESS / "status").read_text().splitlines())
    now, peak = (1024 * int(status[name].split()[0]) for name in ("VmRSS", "VmHWM"))
    return now, peak


def _forget_peak(machine: Machine) -> None:
    if machine.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(machine.device)
    else:
        (PROCESS / "clear_refs").write_text("5")


def memory_section(cases: Sequence[Case], machine: Machine) -> str:
    rows = []
    for case in cases:
        peaks = {method: peak_memory(method, case, machine) for method in METHODS}
        rows.append([str(case), *(f"{_mebibytes(peak)} ({peak / peaks[FORMULA]:.2f})" for peak in peaks.values())])
    return (
        "### Peak memory of a step\n\nAbove what is in use once everything is loaded, in a fresh process for each number; "
        f"in parentheses, of that of the formula, channels first.\n\n{markdown_table(['MiB', *METHODS], rows)}"
    )


# A volume


def volume_section(machine: Machine, n_turns: int) -> str:
    seconds = step_times([FORMULA, UNFUSED, FUSED, FUSED_DEFAULT, FUSED_BFLOAT16], VOLUME, machine, n_turns)
    rows = []
    for method, time_of_step in seconds.items():
        ratio = _ratio(seconds[FORMULA] / time_of_step)
        rows.append([method, _milliseconds(time_of_step), ratio, _mebibytes(peak_memory(method, VOLUME, machine))])
    head = ["method", "ms a step", "formula / it", "peak MiB"]
    return f"### A volume\n\n{VOLUME}, {VOLUME.n_scales} scales.\n\n{markdown_table(head, rows)}"


# Quality


@dataclass(frozen=True, eq=False)
class NoisyImage:
    """An image from 0 to 255, clean and with Gaussian noise of standard deviation 25."""

    clean: np.ndarray
    noisy: np.ndarray

    @classmethod
    def of(cls, name: str, side: int) -> NoisyImage:
        """Return the middle of a gray image of scikit-image's at half its resolution."""
        clean = downscale_local_mean(getattr(skimage.data, name)().astype(float), (2, 2))
        top, left = ((n - side) // 2 for n in clean.shape)
        clean = clean[top : top + side, left : left + side]
        return cls(clean, clean + 25 * np.random.default_rng(0).standard_normal(clean.shape))

    def psnr(self, image: np.ndarray) -> float:
        """Score an image."""
        return psnr(image, self.clean, 255)


@dataclass(frozen=True)
class Point:
    """Quality of a fit's image at a step, and the seconds of fitting until then."""

    psnr: float
    step: int
    seconds: float


def best(curve: Sequence[Point]) -> Point:
    return max(curve, key=lambda point: point.psnr)


def first_above(curve: Sequence[Point], level: float) -> Point | None:
    return next((point for point in curve if point.psnr >= level), None)


def iterate_curve(generator: nn.Module, scene: NoisyImage, machine: Machine, n_steps: int) -> list[Point]:
    """Fit a generator as the authors do and score its output at every step, while the clock stands."""
    target = torch.as_tensor(scene.noisy[None, None] / 255, dtype=torch.float32).to(machine.device)
    training = Training(generator, target)
    curve, seconds = [], 0.0
    for step in range(1, n_steps + 1):
        started = time.perf_counter()
        image = training.step()
        machine.wait()
        seconds += time.perf_counter() - started
        curve.append(Point(scene.psnr(255 * image[0, 0].cpu().numpy()), step, seconds))
    return curve


def package_curve(scene: NoisyImage, machine: Machine, n_steps: int, **changes: object) -> list[Point]:
    """Fit with the preset ``default`` and score each snapshot, while the run's own clock stands."""
    fixed = {"stopping.kind": "fixed", "device": machine.device.type, "n_steps": n_steps}
    run = DenoiseTask(scene.noisy, PRESETS["default"].replace(fixed | changes))
    return [
        Point(scene.psnr(progress.snapshot.image), progress.step, progress.seconds)
        for progress in run
        if progress.snapshot is not None
    ]


def time_to_quality_section(names: Sequence[str], machine: Machine, is_quick: bool) -> str:
    n_authors, n_package = (10, 60) if is_quick else (500, 1000)
    head = ["image: fit", "best PSNR", "at step", "level", "seconds to it", "steps to it", "authors' / it"]
    rows = [row for name in names for row in _times_to_quality(name, machine, n_authors, n_package)]
    return (
        "### Time to quality\n\nImages that scikit-image carries, 256 × 256 pixels, with noise of standard deviation 25 of 255. "
        f"The level is {TOLERANCE} dB below the best output of the authors' network, k = 128, within {n_authors} steps; the preset's "
        f"image is its average, within {n_package} steps. Where the best is called rising, more steps would make it better.\n\n"
        + markdown_table(head, rows)
    )


def _times_to_quality(name: str, machine: Machine, n_authors: int, n_package: int) -> list[list[str]]:
    """Return the rows of an image."""
    _say(f"time to quality: {name}")
    scene, case = NoisyImage.of(name, 256), Case((256, 256), 128)
    fits = {
        AUTHORS: lambda n: iterate_curve(_authors(case, machine), scene, machine, n),
        f"{AUTHORS}, fused": lambda n: iterate_curve(_fused_authors(case, machine), scene, machine, n),
        "preset `default`": lambda n: package_curve(scene, machine, n),
    }
    for fit in fits.values():
        fit(5)  # compiles or loads what it needs
    curves = {
        fit_name: fit(n) for (fit_name, fit), n in zip(fits.items(), (n_authors, n_authors, n_package), strict=True)
    }
    level = best(curves[AUTHORS]).psnr - TOLERANCE
    authors = first_above(curves[AUTHORS], level)
    rows = []
    for fit_name, curve in curves.items():
        top, there = best(curve), first_above(curve, level)
        rising = ", rising" if top.step > 0.95 * curve[-1].step else ""
        reached = (
            [f"{there.seconds:.1f}", str(there.step), _ratio(authors.seconds / there.seconds)] if there else ["–"] * 3
        )
        rows.append([f"{name}: {fit_name}", f"{top.psnr:.2f}", f"{top.step}{rising}", f"{level:.2f}", *reached])
    return rows


def same_quality_section(machine: Machine, is_quick: bool) -> str:
    scene = NoisyImage.of("camera", 128)
    n_steps, seeds = (60, [0]) if is_quick else (800, [0, 1, 2])
    variants = {
        UNFUSED: {"backend": "torch"},
        FUSED: {"backend": machine.backend},
        FUSED_BFLOAT16: {"backend": machine.backend, "precision": "bfloat16"},
    }
    peaks = {}
    for name, changes in variants.items():
        _say(f"same quality: {name}")
        peaks[name] = [best(package_curve(scene, machine, n_steps, seed=seed, **changes)).psnr for seed in seeds]
    rows = []
    for name, values in peaks.items():
        difference = statistics.fmean(values) - statistics.fmean(peaks[UNFUSED])
        rows.append([name, *(f"{value:.2f}" for value in values), f"{difference:+.3f}"])
    head = ["best PSNR", *(f"seed {seed}" for seed in seeds), "mean difference"]
    return (
        f"### Same quality\n\nThe middle 128 × 128 pixels of the image `camera`, preset `default`, best of {n_steps} steps.\n\n"
        + markdown_table(head, rows)
    )


# All of it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="a few steps of the smallest case, to see that all works")
    parser.add_argument("--part", choices=["steps", "together", "memory", "volume", "quality", "all"], default="all")
    parser.add_argument("--images", nargs="*", default=["camera", "moon", "cell"], help="names in skimage.data")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "speed.md")
    arguments = parser.parse_args()

    machine = Machine(torch.device(arguments.device), arguments.threads)
    machine.use()
    is_quick = arguments.quick
    cases, n_turns = (CASES[:1], 1) if is_quick else (CASES, 5)
    sections = {
        "steps": [lambda: steps_section(cases, machine, n_turns)],
        "together": [lambda: together_section(machine, n_turns)],
        "memory": [lambda: memory_section(cases, machine)],
        "volume": [lambda: volume_section(machine, n_turns)],
        "quality": [
            lambda: time_to_quality_section(arguments.images, machine, is_quick),
            lambda: same_quality_section(machine, is_quick),
        ],
    }
    wanted = list(sections) if arguments.part == "all" else [arguments.part]
    check_twins()
    text = machine.facts()
    print(text)
    for part in wanted:
        for section in sections[part]:
            text += "\n" + (done := section())
            print(done, flush=True)
    arguments.output.write_text(text)


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.{0 if seconds >= 0.1 else 1 if seconds >= 0.01 else 2}f}"


def _mebibytes(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:.0f}"


def _ratio(value: float) -> str:
    return f"{value:.1f}"


if __name__ == "__main__":
    main()
