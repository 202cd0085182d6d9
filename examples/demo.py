"""The main job without a window: denoise the bundled noisy image from the command line and draw what happened.

Writes into ``demo-output/``: the noisy image, its reference, the result, the snapshots, the report and a picture.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import tifffile

from napari_convgen.samples import SAMPLES

mpl.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", choices=SAMPLES, default="fluorescence")
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--picture", type=Path, help="PNG file for the picture (default: in the output folder)")
    arguments = parser.parse_args()
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)

    sample = SAMPLES[arguments.sample]()
    write = {"imagej": True, "resolution": (1 / sample.pixel_size,) * 2, "metadata": {"unit": sample.unit}}
    tifffile.imwrite(folder / "noisy.tif", sample.noisy, **write)
    tifffile.imwrite(folder / "reference.tif", sample.clean, **write)
    command = ["denoise", "noisy.tif", "-o", "denoised.tif", "--reference", "reference.tif"]
    command += ["--snapshots", "snapshots.tif", "--report", "report.json", "--force"]  # those of a demo before
    print("napari-convgen", *command, flush=True)
    subprocess.run([sys.executable, "-m", "napari_convgen.cli", *command], cwd=folder, check=True)

    report = json.loads((folder / "report.json").read_text())
    picture = arguments.picture or folder / "picture.png"
    draw(sample.noisy, tifffile.imread(folder / "denoised.tif"), sample.clean, report, picture)
    print(f"PSNR {report['input_psnr']:.2f} -> {report['psnr']:.2f} dB, best snapshot {report['best_psnr']:.2f} dB")
    print(f"SSIM {report['input_ssim']:.3f} -> {report['ssim']:.3f}")
    print(f"{report['seconds']:.1f} seconds for the fit")
    print(f"See {picture}")


def draw(noisy: Any, denoised: Any, clean: Any, report: dict[str, Any], path: Path) -> None:
    """Draw before, after and the reference, and below them the curves with the stop marked."""
    figure, axes = plt.subplot_mosaic(
        [["noisy", "denoised", "clean"], ["curve", "curve", "quality"]],
        figsize=(10, 6.4),
        height_ratios=(3, 2),
        layout="constrained",
    )
    low, high = float(clean.min()), float(clean.max())
    titles = {
        "noisy": f"noisy, {report['input_psnr']:.1f} dB",
        "denoised": f"denoised, {report['psnr']:.1f} dB (step {report['step']})",
        "clean": "clean reference",
    }
    for name, image in (("noisy", noisy), ("denoised", denoised), ("clean", clean)):
        axes[name].imshow(image, cmap="magma", vmin=low, vmax=high, interpolation="nearest")
        axes[name].set_title(titles[name])
        axes[name].axis("off")
    curves = report["curves"]
    criterion = np.array(curves["criterion"], dtype=float)
    axes["curve"].loglog(curves["step"], curves["loss"], label="fitted pixels")
    axes["curve"].loglog(curves["step"], criterion, label="held-out pixels")
    axes["curve"].set(xlabel="step", ylabel="mean squared error")
    axes["quality"].semilogx(report["psnr_by_step"]["step"], report["psnr_by_step"]["psnr"], color="tab:green")
    axes["quality"].set(xlabel="step", ylabel="PSNR to the reference (dB)")
    for name in ("curve", "quality"):
        axes[name].axvline(report["step"], color="gray", linestyle="--", label="kept step")
        axes[name].legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
