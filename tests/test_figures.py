"""Figures in sentences of the documentation are those of the tables that the benchmarks wrote."""

import csv
import math
import re
import statistics
from pathlib import Path

import pytest
from scipy.special import digamma

from napari_convgen.config import PRESETS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def rows_of(name):
    """The images of a table of quality.py, with numbers where there are some."""
    with (RESULTS / name).open(encoding="utf-8") as file:
        return [{key: number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def table(name, start):
    """The cells of the table whose head begins so."""
    lines = (RESULTS / name).read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"| {start}"))
    body = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        body.append([cell.strip() for cell in line.strip("|").split("|")])
    return body


def figures(page, sentence):
    """The numbers of a sentence of a page, in which ``#`` stands for each."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    [found] = re.findall(re.escape(sentence).replace(r"\#", r"(\d+(?:\.\d+)?)"), text)
    return [float(each) for each in ([found] if isinstance(found, str) else found)]


def near(*expected):
    """Equal up to the rounding to one decimal, in which sentences have decibels."""
    return pytest.approx(list(expected), abs=0.051)


DEFAULT = rows_of("quality-default.csv")
BEST = rows_of("quality-best.csv")


def kinds(rows, *parts):
    return [row for row in rows if any(part in row["kind"] for part in parts)]


def gains(rows, over):
    return [row["convgen"] - row[over] for row in rows]


def test_default_beside_other_methods():
    by_kind = [
        statistics.fmean(gains(kinds(DEFAULT, kind), "bm3d")) for kind in ("gauss15", "gauss25", "gauss50", "shared25")
    ]
    stated = figures("README.md", "is # to # dB better than BM3D on photographs, on average")
    assert stated == near(min(by_kind), max(by_kind))
    smoothed = kinds(DEFAULT, "correlated25")
    wide = [row for row in DEFAULT if "WideField" in row["image"]]
    ahead = [min(min(gains(rows, "bm3d")), min(gains(rows, "nlm"))) for rows in (smoothed, wide)]
    stated = figures("README.md", "by # dB and more on photographs, by # dB on a wide-field image")
    assert stated == near(*ahead)
    others = [row for row in DEFAULT if row["is_white"] == "True" and "natural" not in row["kind"]]
    level = [each for each, row in zip(gains(others, "bm3d"), others, strict=True) if "od1" not in row["image"]]
    assert figures(
        "README.md", "on average, and # dB on fluorescence and magnitude images, where it is never worse"
    ) == near(statistics.fmean(level))
    assert min(level) > 0


def test_the_deep_decoder_beside_bm3d_where_noise_is_correlated():
    rows = rows_of("quality.csv")
    wide = [row for row in rows if "WideField" in row["image"]]
    stated = figures(
        "docs/stopping-notes.md", "it is # dB worse on the wide-field image, and # dB better in the mean over"
    )
    smoothed = kinds(rows, "natural/set12 correlated25")
    assert stated == near(*gains(wide, "bm3d"), -statistics.fmean(gains(smoothed, "bm3d")))


def test_what_default_adds_to_its_estimate():
    page = "docs/stopping-notes.md"
    white = [row for row in DEFAULT if row["is_white"] == "True"]
    is_photograph = ["natural" in row["kind"] for row in white]
    photographs = [row for row, is_one in zip(white, is_photograph, strict=True) if is_one]
    others = [row for row, is_one in zip(white, is_photograph, strict=True) if not is_one and "od1" not in row["image"]]
    bacteria, wide_field = ([row for row in DEFAULT if part in row["image"]] for part in ("od1", "WideField"))
    [of_photographs] = figures(
        page, "# dB to the non-local estimate (`lichi`) in the mean over photographs with white noise"
    )
    [of_others] = figures(page, "and # dB over fluorescence and magnitude images")
    for stated, rows in ((of_photographs, photographs), (of_others, others)):
        assert stated == pytest.approx(statistics.fmean(gains(rows, "lichi")), abs=0.006)
    assert figures(page, "(without the saturated bacteria, where it adds # dB)") == near(*gains(bacteria, "lichi"))
    assert figures(page, "On the wide-field image it adds # dB") == near(*gains(wide_field, "lichi"))
    [n_images, loss] = figures(
        page, "On none of the # images is the mixture worse than the estimate alone by more than # dB"
    )
    assert n_images == len(DEFAULT)
    assert min(gains(DEFAULT, "lichi")) == pytest.approx(-loss, abs=0.006)
    [two_photon, *_] = (row for row in rows_of("quality-512.csv") if "TwoPhoton" in row["image"])
    assert figures(page, "At 512 pixels it loses # dB on the two-photon image") == near(
        -gains([two_photon], "lichi")[0]
    )
    told = [row for row in white if row["estimated"] != ""]
    is_near = [abs(row["estimated"] - row["convgen"]) < 1 for row in told]
    [share] = figures(page, "is within 1 dB on # % of the images with white noise for which it is told")
    assert share == round(100 * statistics.fmean(is_near))
    off = [row["estimated"] - row["convgen"] for row in told]
    assert figures(page, "and # dB too high in the mean") == near(statistics.fmean(off))
    magnitudes = [
        each
        for part in ("seed/mri:rician10", "seed/mri:rician5")
        for each, row in zip(off, told, strict=True)
        if part in row["image"]
    ]
    assert figures(page, "It was # to # dB too high") == near(*magnitudes)
    assert max(magnitudes) == max(off)
    assert figures(page, "For # of the # images nothing is told") == [len(white) - len(told), len(white)]


def test_what_default_adds_to_colors():
    rows = rows_of("quality-color.csv")
    [added] = figures("docs/stopping.md", "adds # dB to the non-local estimate in the mean over noise of its own")
    assert added == pytest.approx(statistics.fmean(gains(kinds(rows, "gauss"), "lichi")), abs=0.006)
    [loss] = figures("docs/stopping.md", "and loses # dB at most")
    assert loss == pytest.approx(-min(gains(rows, "lichi")), abs=0.006)
    assert "kodim13" in max(rows, key=lambda row: row["convgen"] - row["lichi"])["image"]


def test_what_best_adds_to_the_estimate():
    [least, most, loss] = figures(
        "docs/presets.md",
        "gains from # to # dB over the non-local estimate on eight, and loses # dB on one",
    )
    added = sorted(gains(BEST, "lichi"))
    assert len(added) == 9
    assert added[0] == pytest.approx(-loss, abs=0.006)
    assert [least, most] == pytest.approx([added[1], added[-1]], abs=0.006)
    by_default = {row["image"]: row["convgen"] for row in DEFAULT}
    more = [row["convgen"] - by_default[row["image"]] for row in BEST]
    [stated] = figures("docs/presets.md", "In the mean over the nine that is # dB more than with `default`")
    assert stated == pytest.approx(statistics.fmean(more), abs=0.006)


def test_frames_that_help_each_other():
    psnr, least, related, losses = {}, {}, {}, []
    for stack, preset, _, auto, gain, of_frame, _ in table(
        "stacks.md", "stack                                |  preset"
    ):
        psnr[stack, preset], least[stack, preset] = float(auto), float(of_frame)
        losses.append(-float(gain))
        if stack != "frames without relation":
            related[stack, preset] = float(gain)
    page = "docs/napari.md"
    stated = figures(page, "That gains # to # dB where the frames show much the same")
    assert stated == [round(min(related.values())), round(max(related.values()))]
    stated = figures(page, "loses about # dB at most.")
    assert stated == near(max(-least["frames without relation", preset] for preset in ("quick", "default")))
    [most] = figures("docs/large-data.md", "the joint one is at most # dB worse")
    assert most == pytest.approx(max(losses), abs=0.006)
    changes = [abs(psnr[stack, "default"] - psnr[stack, "quick"]) for stack, _ in related]
    [most] = figures("docs/how-to/choose-a-preset.md", "changes the image by # dB at most")
    assert most == pytest.approx(max(changes), abs=0.006)


def test_the_logarithm_of_speckle():
    sentence = "# dB darker than the logarithm of the mean for single-look speckle, # dB for two looks, # dB for four"
    told = figures("docs/how-to/structured-noise.md", sentence)
    gap = [10 / math.log(10) * (math.log(looks) - digamma(looks)) for looks in (1, 2, 4)]  # of gamma-distributed values
    assert told == [pytest.approx(each, abs=0.06) for each in gap]


def test_scans_beside_total_variation_and_wavelets():
    scans = {name: [float(cell.split()[0]) for cell in cells] for name, *cells in table("inverse.md", "scan ")}
    del scans["mean"]
    noisy = [cells for name, cells in scans.items() if name.endswith("1 %")]
    page = "docs/reconstruct/mri.md"
    over_tv = [ours - tv for *_, tv, ours in noisy]
    over_wavelets = [ours - wavelets for *_, wavelets, _, ours in noisy]
    assert figures(page, "it is # to # dB better than total variation") == near(min(over_tv), max(over_tv))
    stated = figures(page, "and # to # dB better than wavelets where there is noise")
    assert stated == near(min(over_wavelets), max(over_wavelets))
    assert all(cells[-1] > max(cells[:-1]) for cells in scans.values())


def test_phases_beside_total_variation_and_false_starts():
    rows = table("inverse.md", "images   | photons |                 method")
    ours, theirs = ([float(row[3].split()[0]) for row in rows if row[2] == name] for name in ("quick", "TV"))
    better = [one - other for one, other in zip(ours, theirs, strict=True)]
    stated = figures("docs/reconstruct/phase.md", "with unknown aberrations the phase is # to # dB better than that of")
    assert stated == near(min(better), max(better))
    assert {row[-1] for row in table("inverse.md", "images   | photons | found")} == {"0"}


def test_held_out_entries_stop_all_but_phases_near_the_best_step():
    medians = {name: float(median) for name, _, median, _, _ in table("inverse.md", "measurement  ")}
    is_far = {name: median > 0.2 for name, median in medians.items()}
    assert is_far == {name: name.startswith("phase") for name in medians}


@pytest.mark.parametrize(
    ("name", "sentence", "is_photograph"),
    [
        ("quality.csv", "At 256 pixels it is within 1 dB for # of # images with white noise", False),
        ("quality-128.csv", "# of # are within 1 dB", False),
        ("quality-128.csv", "# of # photographs with Gaussian noise among them", True),
    ],
)
def test_the_estimated_psnr_of_the_deep_decoder(name, sentence, is_photograph):
    told = [row for row in rows_of(name) if row["is_white"] == "True" and row["estimated"] != ""]
    if is_photograph:
        told = kinds(told, "gauss")
    is_near = [abs(row["estimated"] - row["convgen"]) < 1 for row in told]
    assert figures("docs/stopping-notes.md", sentence) == [sum(is_near), len(told)]


@pytest.mark.parametrize(
    ("row", "setting"),
    [
        ("channels", "generator.n_channels"),
        ("scales", "generator.n_scales"),
        ("lessons a step", "generator.n_lessons"),
        ("learning rate", "optimizer.learning_rate"),
        ("steps at most", "n_steps"),
        ("networks fitted together", "n_seeds"),
        ("generators fitted together", "n_seeds"),
        ("order", "generator.order"),
        ("kernel", "generator.kernel"),
    ],
)
def test_settings_of_the_presets(row, setting):
    lines = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8").splitlines()
    n_checked = 0
    for i, line in enumerate(lines):
        if not line.startswith(f"| {row} |"):
            continue
        head = next(each for each in reversed(lines[:i]) if each.startswith("| | "))
        for name, cell in zip(cells(head)[1:], cells(line)[1:], strict=True):
            first = cell.split(",")[0].replace(" ", "")
            if first and PRESETS[name].has(setting):
                value = value_of(PRESETS[name], setting)
                numbers = cell.replace(",", "") if setting == "n_steps" else cell
                shown = {"relu-norm": "ReLU, norm", "norm-relu": "norm, ReLU"}.get(value, str(value))
                assert value == "auto" or numbers.startswith(shown), (row, name, cell, value)
                n_checked += 1
    assert n_checked


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def value_of(config, setting):
    for part in setting.split("."):
        config = getattr(config, part)
    return config
