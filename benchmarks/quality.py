"""The quality of denoised images, of the automatic stop, and of the program's own estimate of its error.

    python benchmarks/quality.py --data FOLDER [--split judge] [--kinds fluo/w2s mri] [--images set12/01] [--methods nlm convgen]

FOLDER is described in cases.py. Each cell is a method on a central crop with a seed. It is one line of results/quality.jsonl and is not
computed again unless --again is given. The tables results/quality.csv and quality.md are written anew from the selected cells. Every method
gets the same model of the noise, see `napari_convgen.run.compare.run`. PSNR is in dB; for pairs that were stretched separately it is
computed after a least-squares gain and offset.

This takes a minute or two: --images Confocal_FISH set12/02:gauss25 rician5 --methods nlm wavelet convgen --size 128 --set n_steps=500
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cases import Case, Pair, all_cases, choose
from napari_convgen.config import Config, preset, setting_fields
from napari_convgen.run.compare.result import MethodResult, markdown_table
from napari_convgen.run.compare.run import METHODS, CompareTask
from napari_convgen.run.denoise.result import DenoiseResult
from napari_convgen.run.labels import OURS

RESULTS = Path(__file__).parent / "results"
"""Folder of the cells and the tables."""

Cell = dict[str, Any]
"""One line of quality.jsonl: the request (``KEY``), the PSNR before and after, and for the generator its stop and its estimated error."""

KEY = ("image", "size", "method", "seed", "settings")
"""Names of the entries that identify a cell."""


def main() -> None:
    arguments = _arguments()
    config = preset(arguments.preset).replace(dict(text.split("=", 1) for text in arguments.set))
    cases = choose(all_cases(arguments.data), arguments.split, arguments.kinds, arguments.images)
    known = {_key(cell): cell for cell in _read(RESULTS / "quality.jsonl")}
    wanted, started = [], time.monotonic()
    for i, case in enumerate(cases):
        for seed in arguments.seeds:
            todo = [_asked(case, arguments.size, method, seed, config) for method in arguments.methods]
            wanted += [_key(cell) for cell in todo]
            if not arguments.again:
                todo = [cell for cell in todo if _key(cell) not in known]
            if arguments.table_only:
                todo = []
            pair = case.load(arguments.size, seed) if todo else None
            for cell in todo:
                cell |= _measure(pair, cell["method"], config.replace({"seed": seed}))
                known[_key(cell)] = cell
                with (RESULTS / "quality.jsonl").open("a") as file:
                    file.write(json.dumps(cell) + "\n")
                print(f"{time.monotonic() - started:6.0f} s {i + 1}/{len(cases)}", _line(cell), flush=True)
    rows = list(_rows([known[key] for key in wanted if key in known]))
    is_white = {case.name: case.load(arguments.size, arguments.seeds[0]).is_white for case in cases}
    for row in rows:
        row["is_white"] = is_white[row["image"]]
    _write_csv(arguments.output.with_suffix(".csv"), rows)
    text = _summary(rows) + "\n" + _table(rows)
    arguments.output.with_suffix(".md").write_text(text)
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER")
    add(
        "--split",
        choices=["tune", "judge"],
        help="images by which settings may be chosen, or all others; both by default",
    )
    add("--kinds", nargs="*", default=[], metavar="KIND", help="beginnings of the kinds of images, such as fluo/w2s")
    add(
        "--images",
        nargs="*",
        default=[],
        metavar="NAME",
        help="parts of the names of images, such as set12/01:gauss25",
    )
    add("--methods", nargs="*", default=METHODS, choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    add("--seeds", nargs="*", type=int, default=[0], metavar="N", help="seeds of the added noise and of the fit")
    add("--size", type=int, default=256, help="side of the central crop, in pixels")
    add("--preset", default="default")
    add("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings to change in the preset")
    add("--again", action="store_true", help="compute cells again that are already there")
    add("--table-only", action="store_true", help="write the tables from the cells that are already there")
    add(
        "--output", type=Path, default=RESULTS / "quality.md", help="file of the tables, with the suffixes .md and .csv"
    )
    return parser.parse_args()


def _asked(case: Case, size: int, method: str, seed: int, config: Config) -> Cell:
    """Return the entries that identify a cell. The settings of a baseline are those of the noise alone."""
    settings = _changed(config, "" if method == OURS else "noise.")
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    return {"image": case.name, "kind": case.kind, "size": size, "method": method, "seed": seed, "settings": digest}


def _changed(config: Config, prefix: str) -> dict[str, Any]:
    """Return the settings whose names begin with a prefix and whose values are not the defaults, without the seed."""
    changed = {}
    for name, by_kind in setting_fields().items():
        if name.startswith(prefix) and name != "seed" and config.has(name):
            group, _, last = name.rpartition(".")
            part = getattr(config, group) if group else config
            value = getattr(part, last)
            if value != by_kind.get(getattr(part, "kind", ""), by_kind.get("")).default:
                changed[name] = value
    return changed


def _key(cell: Cell) -> tuple[Any, ...]:
    return tuple(cell[name] for name in KEY)


def _read(path: Path) -> Iterator[Cell]:
    if path.exists():
        yield from (json.loads(line) for line in path.read_text().splitlines())


def _measure(pair: Pair, method: str, config: Config) -> Cell:
    """Run one method and return its scores."""
    comparison = CompareTask(
        pair.noisy,
        config,
        methods=[method],
        axes=pair.axes,
        reference=pair.reference,
        data_range=pair.data_range,
        fit_affine=pair.is_stretched,
    )
    for _ in comparison:
        pass
    result = comparison.result()
    [outcome] = result.methods
    cell: Cell = {"noisy": result.input_scores.psnr, "noise": str(result.noise[0])}
    if outcome.image is None or outcome.scores is None or outcome.residual is None:
        return cell | {"error": outcome.error}
    cell |= {"psnr": outcome.scores.psnr, "ssim": outcome.scores.ssim, "seconds": outcome.seconds}
    cell |= {"residual": outcome.residual.spread, "autocorrelation": outcome.residual.autocorrelation}
    return cell if outcome.fit is None else cell | _measure_stop(pair, outcome, outcome.fit)


def _measure_stop(pair: Pair, outcome: MethodResult, fit: DenoiseResult) -> Cell:
    """Return the scores at other steps of the run, and the PSNR that the run estimated for itself."""
    [frame] = fit.frames
    by_step = {snapshot.step: pair.psnr(snapshot.image) for snapshot in frame.snapshots}
    best = max(by_step, key=by_step.__getitem__)
    cell: Cell = {
        "step": frame.step,
        "best": by_step[best],
        "best_step": best,
        "last_step": max(by_step),
        "votes": {rule: [step, pair.psnr(frame.at(step).image)] for rule, step in frame.votes.items()},
        "interval": frame.interval,
    }
    if frame.error is not None:
        scale = gain(outcome.image, pair.reference) ** 2 if pair.is_stretched else 1.0
        cell["estimated"] = 10 * math.log10(pair.data_range**2 / (scale * frame.error.mse))
        cell["estimated_deviation"] = 10 / math.log(10) * frame.error.deviation / frame.error.mse
    return cell


def gain(image: np.ndarray, reference: np.ndarray) -> float:
    """Return the factor of the least-squares line from an image to its reference."""
    return float(np.polyfit(image.ravel().astype(float), reference.ravel().astype(float), 1)[0])


def _line(cell: Cell) -> str:
    numbers = (
        cell["error"] if "error" in cell else f"{cell['noisy']:.2f} -> {cell['psnr']:.2f} dB, {cell['seconds']:.0f} s"
    )
    stop = f", step {cell['step']}, best {cell['best']:.2f} at {cell['best_step']}" if "best" in cell else ""
    return f"{cell['image']} seed {cell['seed']} {cell['method']}: {numbers}{stop}"


def _rows(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Bring the methods of an image together, one row for each seed."""
    for key in dict.fromkeys((cell["image"], cell["seed"]) for cell in cells):
        own = [cell for cell in cells if (cell["image"], cell["seed"]) == key]
        row: Cell = {name: own[0][name] for name in ("image", "kind", "seed", "noisy")}
        for cell in own:
            row[cell["method"]] = cell.get("psnr")
            if "best" in cell:
                row |= {name: cell[name] for name in ("step", "best", "best_step")}
                row |= {f"vote {rule}": psnr for rule, (_, psnr) in cell["votes"].items()}
                row |= {name: cell[name] for name in ("estimated", "estimated_deviation") if name in cell}
        yield row


def _columns(rows: Sequence[Cell]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    votes = sorted(name for name in names if name.startswith("vote "))
    return [name for name in names if name not in votes] + votes


def _write_csv(path: Path, rows: Sequence[Cell]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, _columns(rows))
        writer.writeheader()
        writer.writerows({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def _table(rows: Sequence[Cell]) -> str:
    names = [name for name in _columns(rows) if name not in ("kind", "seed", "is_white")]
    shown = [f"{row['image']}, seed {row['seed']}" if row["seed"] else row["image"] for row in rows]
    cells = [[image, *(_text(row.get(name)) for name in names[1:])] for image, row in zip(shown, rows, strict=True)]
    return markdown_table(names, cells)


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _summary(rows: Sequence[Cell]) -> str:
    """Return means over each kind: PSNR of each method, gap of the stop to the best step of its run, and error of the estimated PSNR."""
    methods = [name for name in ("noisy", *METHODS) if any(name in row for row in rows)]
    votes = [name for name in _columns(rows) if name.startswith("vote ")]
    head = [
        "kind",
        "images",
        *methods,
        "gap",
        "95 %",
        "to bm3d",
        "estimate",
        "within 1 dB",
        *(f"gap of {v[5:]}" for v in votes),
    ]
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in dict.fromkeys(row["kind"] for row in rows)}
    lines = []
    white = [row for row in rows if row["is_white"]]
    for kind, own in [*kinds.items(), ("all with white noise", white), ("all", rows)]:
        fitted = [row for row in own if "best" in row]
        gaps = [row["best"] - row[OURS] for row in fitted]
        rivals = [row[OURS] - row["bm3d"] for row in fitted if row.get("bm3d") is not None]
        estimates = [row["estimated"] - row[OURS] for row in fitted if "estimated" in row]
        line = [kind, str(len(own)), *(_mean([row.get(name) for row in own]) for name in methods)]
        line += [
            _mean(gaps),
            f"{np.percentile(gaps, 95):.2f}" if gaps else "",
            _mean(rivals, "+.2f"),
            _mean(estimates, "+.2f"),
        ]
        line += [f"{100 * statistics.fmean(abs(e) <= 1 for e in estimates):.0f} %" if estimates else ""]
        line += [_mean([row["best"] - row[vote] for row in fitted if vote in row]) for vote in votes]
        lines.append(line)
    return markdown_table(head, lines) + _LEGEND


_LEGEND = """
PSNR in dB, means over the images of a kind. *gap*: PSNR of the best snapshot of a run minus that of the kept step, with its 95th
percentile; *to bm3d*: PSNR of the generator minus that of BM3D; *estimate*: the PSNR that the run estimated without a reference minus the
true one, and the share of images for which the two are within 1 dB; *gap of* a rule: the gap of the step that this rule would keep.
*White* noise: the difference of image and reference has about as much energy in low as in high frequencies.
"""


def _mean(values: Sequence[float | None], form: str = ".2f") -> str:
    known = [value for value in values if value is not None]
    return format(statistics.fmean(known), form) if known else ""


if __name__ == "__main__":
    main()
