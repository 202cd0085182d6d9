"""Memory and time that a task takes, predicted before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil
import torch

from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.noise import NoiseModel
from napari_convgen.errors import ShortMemoryError
from napari_convgen.run.labels import describe_uncounted, format_bytes, format_each, format_place, format_seconds
from napari_convgen.run.setup.host_state import with_isolation

N_PROBE_STEPS = 3
"""Number of steps that a forecast measures, after one that loads what is needed."""

CROP = "Crop the image"
"""What makes an image need less memory."""


@dataclass(frozen=True)
class Seconds:
    """A duration.

    Attributes
    ----------
    wall
        Seconds by the clock on the wall, which a busy machine stretches.
    cpu
        Seconds of computing by this process, over all threads.
    """

    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> Seconds:
        """Return the time, to take differences of."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Seconds) -> Seconds:
        return self + other * -1

    def __mul__(self, factor: float) -> Seconds:
        return Seconds(factor * self.wall, factor * self.cpu)


@dataclass(frozen=True)
class Forecast:
    """Memory and time of a fit.

    Attributes
    ----------
    n_bytes, n_bytes_free
        Bytes that the fit takes at its peak, snapshots and result included, and bytes that are free on its device; about.
    step
        Duration of a step, measured on a few of them.
    n_frames, n_steps
        Number of frames or tiles to fit, and of steps of each at most.
    device, backend, n_threads
        Device, what computes the generator, and number of threads of the CPU.
    noise
        Model of the first frame's noise; ``None`` if it will be fitted as it is.
    before
        Duration of the estimates that guide a frame's fit, before its first step; 0, the default, if there are none.
    has_tiles
        True if tiles are fitted; by default whole frames are.
    n_sharing
        Number of frames that share a network, each of which but the first takes about as long as a step; default 1.
    leaves_out_search
        True if the instrument is found before, which is not counted; default False.
    """

    n_bytes: int
    n_bytes_free: int
    step: Seconds
    n_frames: int
    n_steps: int
    device: str
    backend: str
    n_threads: int
    noise: NoiseModel | None
    before: Seconds = Seconds()
    has_tiles: bool = False
    n_sharing: int = 1
    leaves_out_search: bool = False

    @property
    def piece(self) -> Seconds:
        """Mean duration of a frame or tile at most, were it to use all its steps."""
        return self.before + self.step * ((self.n_steps + self.n_sharing - 1) / self.n_sharing)

    @property
    def total(self) -> Seconds:
        """Duration of all at most."""
        return self.piece * self.n_frames

    @property
    def seconds(self) -> float:
        """Seconds by the clock at most."""
        return self.total.wall

    def __str__(self) -> str:
        pieces = f"{self.n_frames} {'tiles' if self.has_tiles else 'frames'}" if self.n_frames > 1 else ""
        steps = f"{self.n_steps} steps" if self.n_steps > 1 else ""
        pace = f"{format_each(self.step.wall)} a step: at most" if steps else "About"
        cpu = f" ({format_seconds(self.total.cpu)} of CPU time)" if self.device == "cpu" else ""
        to_network = f", of which up to {self.n_sharing} share a network" if self.n_sharing > 1 else ""
        work = " of ".join(filter(None, (pieces + to_network, steps)))
        duration = f"{pace} {format_seconds(self.seconds)}{cpu}{f' for {work}' if work else ''}"
        place = format_place(self.device, self.backend, self.n_threads)
        memory = f"About {format_bytes(self.n_bytes)} of memory, {format_bytes(self.n_bytes_free)} are free."
        return f"{memory} {duration}, on {place}{describe_uncounted(self.leaves_out_search)}."


def free_bytes(device: torch.device) -> int:
    """Return how much memory a device has to give."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else host_bytes()


def host_bytes() -> int:
    """Return how much memory the machine has to give, without that of its GPUs."""
    return int(psutil.virtual_memory().available + psutil.swap_memory().free)


def advise_on_memory(smaller: str, has_network: bool = True, has_frames: bool = False) -> str:
    """Return a sentence on how to need less memory.

    Parameters
    ----------
    smaller
        What makes the input need less, such as `CROP`.
    has_network
        True, the default, if a network is fitted.
    has_frames
        True if a Z axis that is fitted as a volume can be fitted as frames; default False.
    """
    network = ", or use fewer channels (generator.n_channels)" * has_network
    return f"{smaller}{network}{'; a Z axis can be fitted as frames' * has_frames}."


def check_memory(n_bytes: int, device: torch.device, advice: str = f"{CROP}.", what: str = "The fit") -> None:
    """Refuse what cannot have the memory it needs, before the system ends the whole program for it.

    Parameters
    ----------
    n_bytes
        Bytes that it needs, about.
    device
        Device whose memory it needs.
    advice
        Sentence on how to need less; that to crop the image by default.
    what
        What needs them, at the beginning of a sentence; default ``"The fit"``.

    Raises
    ------
    ShortMemoryError
        Fewer bytes are free.
    """
    if n_bytes > (n_free := free_bytes(device)):
        raise ShortMemoryError(
            f"{what} needs about {format_bytes(n_bytes)} of memory, but only {format_bytes(n_free)} are free on {device}. {advice}"
        )


def is_short_memory(error: BaseException) -> bool:
    """Return True if an error says that memory ran out; PyTorch has no type of its own for that on the CPU."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in str(error) or "out of memory" in str(error))
    )


def time_step(fit: Fit, n_threads: int) -> Seconds:
    """Return the duration of a step, measured on the first few of a fit.

    Parameters
    ----------
    fit
        A fit at its start, to be let go afterwards.
    n_threads
        Number of threads of the CPU.
    """
    started = Seconds.now()
    n_before = 0
    for iterate in with_isolation(iter(fit), n_threads):
        if iterate.step > N_PROBE_STEPS or fit.reason is not None:
            break
        if iterate.step == 1:
            started, n_before = Seconds.now(), 1
    return (Seconds.now() - started) * (1 / (fit.step - n_before))
