"""Speed and memory of the package, compared with plain PyTorch on the same machine.

    python benchmarks/speed.py [--device cuda] [--threads N] [--part steps] [--quick]

The tables are the time of a step, that of the preset `paper`, several nets at once, the peak memory, a volume, the time until an image is
as good as that of the authors' network, and the quality of the faster methods. Each is printed as soon as it is finished; all are written
to benchmarks/results/speed.md. On two CPU cores this takes half an hour. Do not use the machine meanwhile: other programs slow down
threads that wait for each other.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from speed_floor import floor_section, paper_section
from speed_memory import memory_section, peak_memory
from speed_methods import (
    AUTHORS,
    CHANNELS_LAST,
    FORMULA,
    FORMULAS,
    FUSED,
    FUSED_BFLOAT16,
    FUSED_PRESET,
    LEGEND,
    UNFUSED,
    Case,
    Machine,
    Training,
    format_mebibytes,
    format_milliseconds,
    format_ratio,
    pace,
    say,
    step_times,
)
from speed_quality import same_quality_section, time_to_quality_section

# It sets how PyTorch's threads wait, so it comes before PyTorch.
# isort: split
import torch
from torch import nn

from napari_convgen import PRESETS
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.fused import fuse
from napari_convgen.run.compare.result import markdown_table
from twins import check_twins

CASES = [Case((256, 256), 128), Case((512, 512), 128), Case((512, 512), 512), Case((1024, 1024), 128)]
"""Images whose steps are timed. Chosen so that sizes and channels each grow fourfold, up to those that fit into the memory of a laptop."""

PAPER = Case((512, 512), 512)
"""Image and channels of the preset ``paper`` in the paper's Figure 2."""

VOLUME = Case((32, 128, 128), 64, n_scales=3)
"""Volume whose steps are timed. Chosen so that it has as many voxels as an image of 724 × 724 pixels."""


def steps_section(cases: Sequence[Case], machine: Machine, n_turns: int) -> str:
    times = {case: step_times(FORMULAS, case, machine, n_turns) for case in cases}
    head = ["ms a step", *FORMULAS, "authors' / fused", "channels-last / fused"]
    rows = []
    for case, seconds in times.items():
        ratios = [seconds[AUTHORS] / seconds[FUSED], seconds[CHANNELS_LAST] / seconds[FUSED]]
        rows.append([str(case), *map(format_milliseconds, seconds.values()), *map(format_ratio, ratios)])
    text = f"### A step\n\nForward, backward and Adam; one output channel, five scales.\n\n{LEGEND}\n{markdown_table(head, rows)}"
    return text + floor_section(times, machine)


TOGETHER = [Case((128, 128), 64, n_scales=3), Case((256, 256), 64, n_scales=4)]
"""Images that several nets are fitted to: two sizes, with the channels of the preset ``deep-decoder``."""

N_MEMBERS = [1, 2, 4]
"""Numbers of nets. Chosen so that they include two, the ensemble of the preset ``deep-decoder``."""


def together_section(machine: Machine, n_turns: int) -> str:
    rows = []
    for case in TOGETHER:
        for n_members in N_MEMBERS:
            say(f"several nets: {case}, {n_members}")
            target = torch.rand((1, 1, *case.size), generator=torch.Generator().manual_seed(0)).to(machine.device)
            batched = Training(_members(case, machine, range(n_members)), target.expand(n_members, -1, *case.size))
            alone = [Training(_members(case, machine, [seed]), target) for seed in range(n_members)]
            works = batched.step, lambda alone=alone: [training.step() for training in alone]
            turns = [[pace(work, machine) for work in works] for _ in range(1 + n_turns)]
            together, one_by_one = (statistics.median(times) for times in zip(*turns[1:], strict=True))
            ratio = format_ratio(one_by_one / together)
            rows.append(
                [str(case), str(n_members), format_milliseconds(together), format_milliseconds(one_by_one), ratio]
            )
    head = ["ms a step of all", "nets", "together", "one by one", "one by one / together"]
    return f"### Several nets at once\n\nThe preset `deep-decoder`.\n\n{markdown_table(head, rows)}"


def _members(case: Case, machine: Machine, seeds: Sequence[int]) -> nn.Module:
    preset = PRESETS["deep-decoder"]
    settings = preset.generator.model_dump(exclude={"kind", "n_channels", "n_scales"}) | {
        "n_channels": case.n_channels,
        "n_scales": case.n_scales,
    }
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    return fuse(DeepDecoder(case.size, 1, rngs=rngs, **settings).to(machine.device), machine.backend, preset.precision)


def volume_section(machine: Machine, n_turns: int) -> str:
    seconds = step_times([FORMULA, UNFUSED, FUSED, FUSED_PRESET, FUSED_BFLOAT16], VOLUME, machine, n_turns)
    rows = []
    for method, time_of_step in seconds.items():
        ratio = format_ratio(seconds[FORMULA] / time_of_step)
        rows.append(
            [method, format_milliseconds(time_of_step), ratio, format_mebibytes(peak_memory(method, VOLUME, machine))]
        )
    head = ["method", "ms a step", "formula / it", "peak MiB"]
    return f"### A volume\n\n{VOLUME}, {VOLUME.n_scales} scales.\n\n{markdown_table(head, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--quick", action="store_true", help="take a few steps of the smallest case alone, to test the script"
    )
    parser.add_argument(
        "--part", choices=["steps", "paper", "together", "memory", "volume", "quality", "all"], default="all"
    )
    parser.add_argument(
        "--images",
        nargs="*",
        default=["camera", "moon", "cell"],
        help="images of the time to quality, by their names in skimage.data",
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "speed.md")
    arguments = parser.parse_args()

    machine = Machine(torch.device(arguments.device), arguments.threads)
    machine.use()
    is_quick = arguments.quick
    cases, n_turns = (CASES[:1], 1) if is_quick else (CASES, 5)
    sections = {
        "steps": [lambda: steps_section(cases, machine, n_turns)],
        "paper": [lambda: paper_section(CASES[0] if is_quick else PAPER, machine, n_turns)],
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


if __name__ == "__main__":
    main()
