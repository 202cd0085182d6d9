"""Peak memory of the steps that speed.py times."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from speed_methods import FORMULA, FORMULAS, Case, Machine, Training, format_mebibytes, say

# It sets how PyTorch's threads wait, so it comes before PyTorch.
# isort: split
import torch

from napari_convgen.run.compare.result import markdown_table


def peak_memory(method: str, case: Case, machine: Machine) -> float:
    """Return the peak memory of steps of a method, in bytes, in a new process; NaN if it cannot be measured."""
    say(f"memory: {case}, {method}")
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
    training.step()  # may try several kernels, whose memory is not that of a step
    _forget_peak(machine)
    training.step()
    _, peak = _memory(machine)
    return peak - before


PROCESS = Path("/proc/self")
"""Folder in which Linux describes the process. Unlike `resource.getrusage`, its peak does not include that of the parent process."""


def _memory(machine: Machine) -> tuple[int, int]:
    """Return the bytes that are in use now, and the peak."""
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
        peaks = {method: peak_memory(method, case, machine) for method in FORMULAS}
        rows.append(
            [str(case), *(f"{format_mebibytes(peak)} ({peak / peaks[FORMULA]:.2f})" for peak in peaks.values())]
        )
    return (
        "### Peak memory of a step\n\nAbove what is in use once everything is loaded, in a fresh process for each number; "
        f"in parentheses, of that of the formula, channels first.\n\n{markdown_table(['MiB', *FORMULAS], rows)}"
    )
