"""How honest the estimated PSNR is: what runs say of themselves on all real pairs, against their references.

    python benchmarks/calibration.py --data FOLDER

FOLDER is described in cases.py. A run states a PSNR with its standard error, without a look at the reference. If they are honest, the true
PSNR lies within one standard error in 68 % of the images, and within two in 95 %. Images by which settings may be chosen (``tune``) and
all others (``judge``) are counted apart. The table is written to benchmarks/results/calibration.md.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cases import Case, Pair, all_cases, choose
from napari_convgen import denoise
from napari_convgen.run.compare.result import markdown_table
from quality import gain

PRESETS = ("default", "deep-decoder")
"""Presets whose estimates are compared with the truth."""

HONEST = {1: 0.68, 2: 0.95}
"""Share of the images within a number of standard errors, if the estimates have Gaussian errors of the size that they state."""


@dataclass(frozen=True)
class Estimate:
    """What a run says of its image, and what is true, in dB.

    Attributes
    ----------
    true
        PSNR against the reference.
    told, deviation
        Estimated PSNR and its standard error; ``None`` if the run cannot tell.
    """

    true: float
    told: float | None
    deviation: float | None

    @classmethod
    def of(cls, pair: Pair, preset: str, n_steps: int | None) -> Estimate:
        """Denoise a pair's image."""
        result = denoise(pair.noisy, preset, axes=pair.axes, n_steps=n_steps)
        error, true = result.frames[0].error, pair.psnr(result.image)
        if error is None:
            return cls(true, None, None)
        scale = gain(result.image, pair.reference) ** 2 if pair.is_stretched else 1.0
        told = 10 * math.log10(pair.data_range**2 / (scale * error.mse))
        return cls(true, told, 10 / math.log(10) * error.deviation / error.mse)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256, help="side of the central crop, in pixels")
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--images", nargs="+", default=(), help="parts of the names of the images; all by default")
    parser.add_argument("--steps", type=int, help="steps at most, for a rehearsal; those of the preset by default")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "calibration.md")
    arguments = parser.parse_args()

    head = ["image", "difference", "split", "preset", "told", "±", "true", "told - true", "standard errors"]
    rows, estimates = [], []
    for case, pair in real_pairs(arguments.data, arguments.size, arguments.images):
        split = "tune" if case.is_for_tuning else "judge"
        for preset in arguments.presets:
            estimate = Estimate.of(pair, preset, arguments.steps)
            estimates.append((split, preset, estimate))
            rows.append([case.name, "white" if pair.is_white else "correlated", split, preset, *_cells(estimate)])
            print(markdown_table(head, rows).splitlines()[-1], flush=True)
    arguments.output.write_text(_summary(estimates) + "\n" + markdown_table(head, rows))


def real_pairs(folder: Path, size: int, images: Sequence[str]) -> Iterator[tuple[Case, Pair]]:
    """Yield the real pairs."""
    for case in choose(all_cases(folder), images=images):
        if case.noise is None:
            yield case, case.load(size, seed=0)


def _cells(estimate: Estimate) -> list[str]:
    if estimate.told is None or estimate.deviation is None:
        return ["cannot tell", "", f"{estimate.true:.2f}", "", ""]
    off = estimate.told - estimate.true
    n = f"{off / estimate.deviation:+.1f}" if estimate.deviation else ""
    return [f"{estimate.told:.2f}", f"{estimate.deviation:.2f}", f"{estimate.true:.2f}", f"{off:+.2f}", n]


def _summary(estimates: Sequence[tuple[str, str, Estimate]]) -> str:
    """Return the bias and the coverage for each split and preset."""
    goals = [f"within {n} standard error{'s' * (n > 1)} ({100 * share:.0f} % if honest)" for n, share in HONEST.items()]
    head = ["split", "preset", "images", "cannot tell", "mean of told - true", "within 1 dB", *goals]
    rows = []
    for split, preset in dict.fromkeys((split, preset) for split, preset, _ in estimates):
        own = [each for *key, each in estimates if key == [split, preset]]
        known = [(e.told - e.true, e.deviation) for e in own if e.told is not None and e.deviation is not None]
        row = [split, preset, str(len(own)), str(len(own) - len(known))]
        if known:
            row.append(f"{statistics.fmean(off for off, _ in known):+.2f}")
            row.append(f"{100 * statistics.fmean(abs(off) <= 1 for off, _ in known):.0f} %")
            row += [
                f"{100 * statistics.fmean(abs(off) <= n * deviation for off, deviation in known):.0f} %" for n in HONEST
            ]
        rows.append(row + [""] * (len(head) - len(row)))
    return markdown_table(head, rows)


if __name__ == "__main__":
    main()
