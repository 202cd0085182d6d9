"""The decoders that speed.py compares, the steps of their fits, and the machine."""

from __future__ import annotations

import itertools
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import napari_convgen.run  # noqa: F401  sets how PyTorch's threads wait, so it comes before PyTorch

# isort: split
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_convgen import PRESETS
from napari_convgen.core.fit.cuda_graph import CapturedStep
from napari_convgen.core.fit.optimizers import Adam
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.fused import fuse
from napari_convgen.core.generators.fused.products import Precision
from napari_convgen.run.denoise.result import versions
from napari_convgen.run.setup.devices import resolve_backend
from twins import PlainDecoder

TURN_SECONDS = 0.2
"""Duration of the turn of a method, in seconds; it takes at least one step.

Chosen so that turns are long compared with the resolution of the clock, and short compared with changes of the machine's load."""


@dataclass(frozen=True)
class Case:
    """An image of one channel and the decoder that is fitted to it.

    Attributes
    ----------
    size
        Shape of the image, in pixels.
    n_channels, n_scales
        Numbers of channels and of scales of the decoder.
    """

    size: tuple[int, ...]
    n_channels: int
    n_scales: int = 5

    def __str__(self) -> str:
        return f"{' × '.join(map(str, self.size))}, k = {self.n_channels}"


@dataclass(frozen=True)
class Machine:
    """The device and the threads of the benchmark; each process has to call `use`.

    Attributes
    ----------
    device
        Device on which generators are fitted.
    n_threads
        Number of threads of PyTorch on the CPU.
    """

    device: torch.device
    n_threads: int

    @property
    def backend(self) -> str:
        """Backend of the fused decoder."""
        return resolve_backend("auto", self.device)

    def use(self) -> None:
        """Set the number of threads of this process."""
        torch.set_num_threads(self.n_threads)

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def facts(self) -> str:
        """Return a Markdown list of the hardware and software on which the numbers depend."""
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


def decoder(case: Case, device: torch.device, **settings: object) -> DeepDecoder:
    """Return the decoder of a case, according to the paper's formula unless settings change it."""
    rngs = [torch.Generator().manual_seed(0)]
    return DeepDecoder(case.size, 1, n_channels=case.n_channels, n_scales=case.n_scales, rngs=rngs, **settings).to(
        device
    )


def authors_network(case: Case, machine: Machine) -> nn.Module:
    return PlainDecoder.of(decoder(case, machine.device, extra_layer="last"))


def _formula(case: Case, machine: Machine) -> nn.Module:
    return PlainDecoder.of(decoder(case, machine.device))


def _channels_last(case: Case, machine: Machine) -> nn.Module:
    return _formula(case, machine).to(memory_format=torch.channels_last)


def _unfused(case: Case, machine: Machine) -> nn.Module:
    return decoder(case, machine.device)


def _fused(case: Case, machine: Machine) -> nn.Module:
    return fuse(decoder(case, machine.device), machine.backend)


def fused_authors_network(case: Case, machine: Machine, precision: Precision = "float32") -> nn.Module:
    return fuse(decoder(case, machine.device, extra_layer="last"), machine.backend, precision)


def _fused_authors_network_bfloat16(case: Case, machine: Machine) -> nn.Module:
    return fused_authors_network(case, machine, "bfloat16")


def _fused_preset(case: Case, machine: Machine) -> nn.Module:
    preset = PRESETS["deep-decoder"]
    settings = preset.generator.model_dump(exclude={"kind", "n_channels", "n_scales"})
    return fuse(decoder(case, machine.device, **settings), machine.backend, preset.precision)


def _fused_bfloat16(case: Case, machine: Machine) -> nn.Module:
    return fuse(decoder(case, machine.device), machine.backend, "bfloat16")


AUTHORS, FORMULA, CHANNELS_LAST = "authors' network", "formula", "formula, channels-last"
UNFUSED, FUSED, FUSED_PRESET, FUSED_BFLOAT16 = "unfused", "fused", "fused, preset deep-decoder", "fused, bfloat16"
FUSED_AUTHORS, FUSED_AUTHORS_BFLOAT16 = "authors' network, fused", "authors' network, fused, bfloat16"
"""Names of the methods; `LEGEND` explains those of the paper's formula."""

FORMULAS = [AUTHORS, FORMULA, CHANNELS_LAST, UNFUSED, FUSED, FUSED_PRESET, FUSED_BFLOAT16]
"""Methods that are compared on each case."""

SAME = [(FORMULA, CHANNELS_LAST, UNFUSED, FUSED), (AUTHORS, FUSED_AUTHORS)]
"""Methods that compute the same function."""

METHODS: dict[str, Callable[[Case, Machine], nn.Module]] = {
    AUTHORS: authors_network,
    FORMULA: _formula,
    CHANNELS_LAST: _channels_last,
    UNFUSED: _unfused,
    FUSED: _fused,
    FUSED_PRESET: _fused_preset,
    FUSED_BFLOAT16: _fused_bfloat16,
    FUSED_AUTHORS: fused_authors_network,
    FUSED_AUTHORS_BFLOAT16: _fused_authors_network_bfloat16,
}
"""Function of each method that builds its generator."""

LEGEND = f"""\
- **{AUTHORS}**, **{FORMULA}**: plain PyTorch, channels first: 1×1 convolutions, `nn.Upsample`, ReLU, batch norm. The
  authors' network has one more hidden layer than the paper's formula, on the finest grid.
- **{CHANNELS_LAST}**: the same in PyTorch's channels-last memory format.
- **{UNFUSED}**: the package's plain twin of the formula, backend `torch`.
- **{FUSED}**: the package's fused decoder; the same function as the formula, with the same start.
- **{FUSED_PRESET}**: with the settings of the preset `deep-decoder`, except for the k and the scales of the row.
- **{FUSED_BFLOAT16}**: the formula with the factors of the matrix products in bfloat16.
"""
"""Explanation of the methods, in Markdown."""


class Training:
    """A generator that is fitted to a target with Adam, whose steps are timed.

    Parameters
    ----------
    generator
        Generator with one member, or several if the target has as many.
    target
        Image of shape ``(members, 1, *size)``.
    """

    def __init__(self, generator: nn.Module, target: Tensor) -> None:
        self.generator = generator
        self.target = target
        self._take_step = self._move
        if isinstance(generator, PlainDecoder):
            self.optimizer = torch.optim.Adam(generator.parameters(), lr=0.01)
        else:  # as in a fit of the package
            self.optimizer = Adam(generator.parameters(), 0.01)
            if target.device.type == "cuda":
                self._take_step = CapturedStep(self._move)

    @classmethod
    def of(cls, method: str, case: Case, machine: Machine) -> Training:
        """Return the training of a method with a random target."""
        target = torch.rand((1, 1, *case.size), generator=torch.Generator().manual_seed(0)).to(machine.device)
        return cls(METHODS[method](case, machine), target)

    def step(self) -> Tensor:
        """Take a step (forward, backward, Adam) and return the image before it."""
        return self._take_step()[0]

    def _move(self) -> tuple[Tensor, ...]:
        image = self.generator()
        self.optimizer.zero_grad()
        F.mse_loss(image, self.target).backward()
        self.optimizer.step()
        return (image.detach(),)


def pace(work: Callable[[], object], machine: Machine) -> float:
    """Repeat some work for the duration of a turn, and return the mean seconds that it takes."""
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
    """Return the median seconds of a step of each method. The methods take turns; the first turn is to warm up and does not count."""
    say(f"time of a step: {case}")
    trainings = {method: Training.of(method, case, machine) for method in methods}
    for same in SAME:
        _check_same_image([trainings[method] for method in methods if method in same])
    turns = [
        {method: pace(training.step, machine) for method, training in trainings.items()} for _ in range(1 + n_turns)
    ]
    return {method: statistics.median(turn[method] for turn in turns[1:]) for method in methods}


@torch.no_grad()
def _check_same_image(trainings: list[Training]) -> None:
    images = [training.generator() for training in trainings]
    for first, other in itertools.pairwise(images):
        torch.testing.assert_close(other, first, rtol=0, atol=5e-3)  # TF32 has ten bits


def say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def format_milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.{0 if seconds >= 0.1 else 1 if seconds >= 0.01 else 2}f}"


def format_mebibytes(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:.0f}"


def format_ratio(value: float) -> str:
    return f"{value:.1f}"
