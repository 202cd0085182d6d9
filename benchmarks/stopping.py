"""How far the automatic stop is from the best one, on real pairs.

    python benchmarks/stopping.py --data FOLDER

FOLDER has a PAIRS.tsv with the columns noisy, gt, data_range and note. Prints a row for each pair as it is done, and writes
the table to benchmarks/results/stopping.md.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from napari_convgen import denoise
from napari_convgen.config import preset
from pairs import load_pairs, table

HEAD = ["image", "kind", "noisy", "automatic stop", "step", "best stop", "step", "gap", "last snapshot", "step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256, help="side of the central crop")
    parser.add_argument("--images", nargs="*", metavar="NAME", help="stems of the noisy files; all by default")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings to change in the preset")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "stopping.md")
    arguments = parser.parse_args()

    config = preset(arguments.preset).replace(dict(text.split("=", 1) for text in arguments.set))
    rows, gaps, kinds = [], [], set()
    for pair in load_pairs(arguments.data, arguments.size, arguments.images):
        result = denoise(pair.noisy, config, axes=pair.axes)
        by_step = {snapshot.step: pair.psnr(snapshot.image) for snapshot in result.snapshots}
        best = max(by_step, key=by_step.__getitem__)
        gap = by_step[best] - by_step[result.step]
        gaps.append(gap)
        kinds.add(pair.kind)
        numbers = [pair.psnr(pair.noisy), by_step[result.step], result.step, by_step[best], best, gap]
        numbers += [by_step[max(by_step)], max(by_step)]
        formats = [".2f", ".2f", "d", ".2f", "d", ".2f", ".2f", "d"]
        rows.append([pair.name, pair.kind, *(format(n, f) for n, f in zip(numbers, formats, strict=True))])
        print(table(HEAD, rows).splitlines()[-1], flush=True)
    summary = (
        f"{len(gaps)} images of {len(kinds)} kinds, {arguments.size} pixels a side at most, preset {arguments.preset}; "
        f"PSNR in dB. The automatic stop is {statistics.fmean(gaps):.2f} dB below the best stop of the same run in the "
        f"mean, {statistics.median(gaps):.2f} in the median, {max(gaps):.2f} at worst.\n"
    )
    arguments.output.write_text(table(HEAD, rows) + "\n" + summary)
    print(summary)


if __name__ == "__main__":
    main()
