"""The choice of the preset ``deep-decoder``: one setting is changed at a time, on a few pairs.

    python benchmarks/presets.py --data FOLDER

FOLDER is described in cases.py. Each cell is the PSNR of the average at the best of 1,000 steps. The preset was chosen by the mean, then by
the time of a step, which speed.py measures. A single generator is fitted, with the same seed, and without a model of the noise. The table
is written to benchmarks/results/presets.md.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from cases import all_cases, choose
from napari_convgen import PRESETS, denoise
from napari_convgen.run.compare.result import markdown_table

NAMES = ["confocal_BPAE_R_noisy", "Confocal_FISH_noisy", "044_0_noisy"]
"""Names of the pairs: two confocal images and a wide-field one."""

VARIANTS = {
    "deep-decoder": {},
    "ReLU before norm": {"generator.order": "relu-norm"},
    "linear kernel": {"generator.kernel": "linear"},
    "five scales": {"generator.n_scales": 5},
    "32 channels": {"generator.n_channels": 32},
    "128 channels": {"generator.n_channels": 128},
}
"""Changes of settings by the name of the variant: the neighbors of each choice."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256, help="side of the central crop, in pixels")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "presets.md")
    arguments = parser.parse_args()

    cases = choose(all_cases(arguments.data), images=NAMES)
    pairs = {case.name.rpartition("/")[2]: case.load(arguments.size, seed=0) for case in cases}
    head = ["variant", *NAMES, "mean", "mean of raw iterates"]
    rows = []
    for variant, changes in VARIANTS.items():
        config = PRESETS["deep-decoder"].replace(
            {"n_steps": 1000, "stopping.kind": "fixed", "n_seeds": 1, "noise.kind": "none", **changes}
        )
        results = [(pairs[name], denoise(pairs[name].noisy, config, axes=pairs[name].axes)) for name in NAMES]
        averages = [max(pair.psnr(s.average) for s in result.snapshots) for pair, result in results]
        iterates = [max(pair.psnr(s.iterate) for s in result.snapshots) for pair, result in results]
        numbers = [*averages, statistics.fmean(averages), statistics.fmean(iterates)]
        rows.append([variant, *(f"{n:.2f}" for n in numbers)])
        print(markdown_table(head, rows).splitlines()[-1], flush=True)
    arguments.output.write_text(markdown_table(head, rows))


if __name__ == "__main__":
    main()
