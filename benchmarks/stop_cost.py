"""The cost of the automatic stop: the time of a fit that finds its end, relative to one whose end is given.

    python benchmarks/stop_cost.py

The images are samples and photographs with noise, 128 × 128 pixels, fitted with the preset ``default``. *Told the step*: the same fit with
the rule ``fixed``, ended at the step that ``auto`` kept, which nobody knows beforehand. *Told the last*: the same, ended at the last step
of ``auto``; the difference is the cost of the rule itself. The three run in turn, ``--repeats`` times, after a fit that loads and compiles;
the shortest time of each counts. This takes some minutes on two cores. The table is written to benchmarks/results/stop_cost.md.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage import data

from napari_convgen import PRESETS, denoise
from napari_convgen.config import Config
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.labels import format_seconds
from napari_convgen.samples import SAMPLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1, help="number of times that each fit is timed")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "stop_cost.md")
    arguments = parser.parse_args()

    config = PRESETS["deep-decoder"]
    for _, image in _images():
        denoise(image, config, n_steps=3)
    rows = []
    for name, image in _images():
        row = _measure(image, config, arguments.repeats)
        rows.append(row)
        print(name, *row, flush=True)
    head = ["image", "kept", "last step", "auto", "told the step", "auto to that", "told the last", "auto to that one"]
    lines = []
    for (name, _), (kept, last, auto, best, same) in zip(_images(), rows, strict=True):
        told = [format_seconds(best), f"{auto / best:.2f}", format_seconds(same), f"{auto / same:.2f}"]
        lines.append([name, str(kept), str(last), format_seconds(auto), *told])
    ratios = [[auto / best, auto / same] for _, _, auto, best, same in rows]
    to_best, to_same = (f"{statistics.fmean(each):.2f}" for each in zip(*ratios, strict=True))
    text = markdown_table(head, [*lines, ["mean", "", "", "", "", to_best, "", to_same]])
    print(text)
    arguments.output.write_text(text)


def _measure(image: np.ndarray, config: Config, n_repeats: int) -> tuple[int, int, float, float, float]:
    """Return the kept step, the last step, and the seconds of the three fits."""
    seconds: list[list[float]] = []
    kept = last = 0
    for _ in range(n_repeats):
        auto = denoise(image, config)
        [frame] = auto.frames
        kept, last = frame.step, len(frame.loss)
        told = (denoise(image, config, stopping="fixed", n_steps=n) for n in (kept, last))
        seconds.append([auto.seconds, *(result.seconds for result in told)])
    auto_seconds, best, same = (min(each) for each in zip(*seconds, strict=True))
    return kept, last, auto_seconds, best, same


def _images() -> Iterator[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    for name, sample in SAMPLES.items():
        yield name, sample().noisy[64:192, 64:192]
    for name in ("camera", "coins"):
        clean = getattr(data, name)()[64:192, 164:292].astype(np.float32)
        white = rng.standard_normal(clean.shape).astype(np.float32)
        yield f"{name}, white noise", clean + 25 * white
        correlated = ndimage.gaussian_filter(white, 1, mode="wrap")
        yield f"{name}, smoothed noise", clean + 25 * correlated / correlated.std()


if __name__ == "__main__":
    main()
