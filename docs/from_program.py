"""Parts of the documentation that the program writes: ``{{ presets }}`` in a page becomes the table of the presets.

A hook of mkdocs (``hooks`` in ``mkdocs.yml``), so that names and figures in the pages are those of the program and its benchmarks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from napari_convgen.config.presets import PRESET_USES

ROOT = Path(__file__).parent.parent
MANIFEST = yaml.safe_load((ROOT / "src" / "napari_convgen" / "napari.yaml").read_text(encoding="utf-8"))[
    "contributions"
]
RESULTS = ROOT / "benchmarks" / "results"

OF_OTHERS = {
    "fluo/fmd_test": "two-photon and wide-field",
    "fluo/w2s": "wide-field, two images",
    "fluo/gigadb": "nucleus",
    "fluo/bacteria": "bacteria, saturated",
    "mri/pairs": "fMRI",
    "natural/set12 gauss25": "photographs, white noise",
    "natural/set12 correlated25": "photographs, smoothed noise",
    "seed rician10": "head, magnitude",
    "all with white noise": "all with white noise",
    "all": "all",
}
"""Plain name of each kind of images in the results that the page on other methods shows."""


def presets() -> str:
    """Return the table of the presets and of when to use each."""
    return table(("preset", "when to use it"), ((f"`{name}`", use) for name, use in PRESET_USES.items()))


def preset_names() -> str:
    """Return the names of the presets."""
    return ", ".join(f"`{name}`" for name in PRESET_USES)


def widgets() -> str:
    """Return the table of the widgets and their menus."""
    layers = {
        command["command"]: menu.split("/")[-1].capitalize()
        for menu, items in MANIFEST["menus"].items()
        for command in items
    }
    rows = []
    for widget in MANIFEST["widgets"]:
        name, menu = widget["display_name"], layers[widget["command"]]
        rows.append((f"*{name}*", f"*Layers → {menu} → {name} (Convolutional generators)*"))
    return table(("in *Plugins → Convolutional generators*", "also in"), rows)


def samples() -> str:
    """Return the list of the sample images."""
    return "\n".join(f"- *{each['display_name']}*" for each in MANIFEST["sample_data"])


def quality() -> str:
    """Return the table of the default preset beside other methods, in dB, from the last results of the benchmark."""
    lines = (RESULTS / "quality-default.md").read_text(encoding="utf-8").splitlines()
    head, _, *body = (tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[: lines.index("")])
    columns = {
        "images": "images",
        "noisy": "noisy",
        "nlm": "NLM",
        "wavelet": "wavelets",
        "bm3d": "BM3D",
        "convgen": "`default`",
    }
    rows = (
        (OF_OTHERS[kind], *(dict(zip(head, row, strict=True))[name] for name in columns))
        for row in body
        if (kind := row[0]) in OF_OTHERS
    )
    return table(("PSNR in dB", *columns.values()), rows)


PARTS: dict[str, Callable[[], str]] = {
    "presets": presets,
    "preset_names": preset_names,
    "widgets": widgets,
    "samples": samples,
    "quality": quality,
}
"""Function that writes each part, by the name that pages call it by."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of Markdown."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the parts into a page before mkdocs renders it."""
    return re.sub(r"{{ (\w+) }}", lambda match: PARTS[match[1]](), markdown)
