"""Findings of studies, as records for JSON and as a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from napari_convgen.reproduction import STUDIES, TITLE
from napari_convgen.reproduction.study import Findings

Record = Mapping[str, Any]


def record(name: str, findings: Findings, *, is_full: bool, seconds: float, device: str, version: str) -> Record:
    """Return the findings of a study without its picture, as JSON can write them.

    Parameters
    ----------
    name
        Name of the study.
    findings
        Findings of the study.
    is_full
        True if it was carried out in the paper's size.
    seconds
        Time that it took.
    device
        Name of the device.
    version
        Version of this package.
    """
    return {
        "study": name,
        "title": STUDIES[name][1],
        "size": "full" if is_full else "quick",
        "claims": [asdict(claim) | {"agrees": bool(claim.agrees)} for claim in findings.claims],
        "notes": list(findings.notes),
        "seconds": round(seconds, 1),
        "device": device,
        "version": version,
        "numbers": dict(findings.numbers),
    }


def to_markdown(records: Sequence[Record]) -> str:
    """Return a table with a line for each claim, in the order of the studies, and each study's picture below it."""
    order = list(STUDIES)
    records = sorted(records, key=lambda record: order.index(record["study"]))
    claims = [(record, claim) for record in records for claim in record["claims"]]
    n_agreeing = sum(claim["agrees"] for _, claim in claims)
    lines = [
        TITLE,
        "",
        f"{n_agreeing} of {len(claims)} statements agree. Each line is made by `napari-convgen reproduce NAME`.",
        "",
        "| study | the paper | we get | they agree if | agree | size | seconds | device |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record, claim in claims:
        cells = [
            f"[{record['study']}](#{record['study']})",
            claim["paper"],
            claim["ours"],
            claim["tolerance"],
            "yes" if claim["agrees"] else "**no**",
            record["size"],
            f"{record['seconds']:.0f}",
            record["device"],
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for record in records:
        name = record["study"]
        lines += ["", f"## {name}", "", f"{record['title']}.", "", f"![{record['title']}]({name}.png)"]
        reasons = [claim["because"] for claim in record["claims"] if claim["because"]]
        lines += [f"\n{text}" for text in (*reasons, *record["notes"])]
    return "\n".join(lines) + "\n"
