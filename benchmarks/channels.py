"""Channels fitted together or one by one, for images of like and of unlike channels.

    python benchmarks/channels.py --data FOLDER [--size 128]

FOLDER is described in cases.py; images are those by which settings may be chosen. Unlike channels are different images, like ones the
colors of one; between them lie mixtures. Noise of 25 gray levels is added to each channel. The table, in results/channels.md, has the
least correlation of a channel's structures with those of another one, see `napari_convgen.core.image.channels`, and the PSNR both ways. It
takes half an hour on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cases import all_cases, choose
from napari_convgen.config import preset
from napari_convgen.core.image import channels
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.denoise.run import denoise

RESULTS = Path(__file__).parent / "results" / "channels.md"

UNLIKE = ["set12/01:gauss25", "set12/02:gauss25", "set12/09:gauss25"]
"""Tuning images that are channels of one image."""

COLORS = ["cbsd68/101085:gauss25", "kodim05:gauss25"]
"""Tuning images whose colors are channels."""

SHARES = (0.0, 0.2, 0.4, 0.6)
"""Shares of the first unlike channel in the others."""

SIGMA = 25.0


def images(folder: Path, size: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield clean images, channels first, in gray levels."""
    cases = list(all_cases(folder))
    unlike = np.stack([case.load(size, 0).reference for case in choose(cases, "tune", images=UNLIKE)]).astype(float)
    for share in SHARES:
        yield f"unlike, {100 * share:.0f} % of the first in each", share * unlike[0] + (1 - share) * unlike
    for case in choose(cases, "tune", images=COLORS):
        yield case.name, np.moveaxis(case.load(size, 0).reference, -1, 0).astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--size", type=int, default=128, help="side of the central crop, in pixels")
    parser.add_argument("--presets", nargs="*", default=["deep-decoder", "default"])
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    ways = [(name, way) for name in options.presets for way in ("joint", "separate")]
    rows = []
    for name, clean in images(options.data, options.size):
        noisy = (clean + SIGMA * rng.normal(size=clean.shape)).astype(np.float32)
        row = [name, f"{channels.least_correlation(noisy.astype(float), np.ones(noisy.shape, bool)):.2f}"]
        for preset_name, way in ways:
            result = denoise(noisy, preset(preset_name).replace({"channels": way}), axes="CYX")
            row.append(f"{10 * np.log10(255**2 / np.mean((result.image - clean) ** 2)):.2f}")
        rows.append(row)
        print(row, flush=True)
    table = markdown_table(["image", "correlation", *(f"{name}, {way}" for name, way in ways)], rows)
    RESULTS.write_text(
        f"PSNR in dB, {options.size} × {options.size} pixels, noise of {SIGMA:g} gray levels.\n\n{table}\n"
    )


if __name__ == "__main__":
    main()
