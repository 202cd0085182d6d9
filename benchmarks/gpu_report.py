"""The report of gpu.py: what failed, and a table for each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

N_ERROR_LINES = 3
"""Number of last lines of an error in the report: its message, and where it came from. All of it is in the file of numbers."""

N_ERROR_CHARACTERS = 400
"""Largest number of characters of an error in the report: its end, where it is longer."""

N_DIGITS = 3
"""Significant digits of a number in the report: more than repetitions agree in."""

HOLDS = "holds"
"""Cell that says whether a check holds."""


def report(whole: Mapping[str, Any]) -> str:
    """Return everything as Markdown.

    Parameters
    ----------
    whole
        What `gpu.Run.write` writes: the device, the seconds, and the parts with their items.
    """
    parts = whole["parts"]
    failures = [f"- {line}" for part in parts.values() for line in failed(part)]
    warned = [f"- {line}" for part in parts.values() for line in warnings(part)]
    head = "A rehearsal on the CPU: the timings mean nothing.\n\n" if whole["device"] == "cpu" else ""
    sections = [section(name, part) for name, part in parts.items()]
    twice = in_two_processes(parts)
    texts = [
        f"{head}`python benchmarks/gpu.py`, {whole['seconds']:.0f} s.\n",
        "### What failed\n\n" + ("\n".join(failures) or "Nothing.") + "\n",
        "### Warnings\n\n" + "\n".join(warned) + "\n" if warned else "",
        *sections,
        twice,
    ]
    return "\n".join(text for text in texts if text)


def failed(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each failure in a part."""
    title = part["title"]
    if part.get("error"):
        yield f"**{title}**: {shortened(part['error'])}"
    for item in part.get("items", []):
        where = f"**{title}**, {item['name']}"
        if item["state"] == "waiting":
            yield f"{where}: not reached"
        elif item["error"]:
            yield f"{where}: {shortened(item['error'])}"
        for row in item["rows"]:
            if row.get(HOLDS) is False:
                yield f"{where}: {', '.join(f'{key} {cell(value)}' for key, value in row.items() if key != HOLDS)}"


def warnings(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each warning in a part, each once."""
    texts: dict[str, list[str]] = {}
    for item in part.get("items", []):
        for text in item["warnings"]:
            texts.setdefault(shortened(text), []).append(item["name"])
    for text, names in texts.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"**{part['title']}**, {names[0]}{more}: {text}"


def shortened(error: str) -> str:
    """Return the last lines of an error as one line."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip(" ^~")]
    text = " / ".join(lines[-N_ERROR_LINES:])
    return (text if len(text) <= N_ERROR_CHARACTERS else f"… {text[-N_ERROR_CHARACTERS:]}").replace("|", "\\|")


def section(name: str, part: Mapping[str, Any]) -> str:
    """Return a part's tables: one for each set of columns."""
    items = part.get("items", [])
    n_seconds = part.get("seconds")
    text = f"### {part['title']}\n\n"
    if n_seconds is None:
        return text + "Not run.\n"
    done = sum(item["state"] == "ended" and not item["error"] for item in items)
    text += f"`{name}`: {done} of {len(items)} items, {n_seconds:.0f} s.\n"
    tables: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for item in items:
        for row in item["rows"]:
            tables.setdefault(tuple(row), []).append(row)
    return text + "".join(f"\n{table(list(head), rows)}" for head, rows in tables.items())


def table(head: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), ["---", *["--:"] * (len(head) - 1)], *([cell(row[key]) for key in head] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(value: Any) -> str:
    """Return a value as it is read in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 10**N_DIGITS else f"{value:.{N_DIGITS}g}"
    return shortened(str(value))


def in_two_processes(parts: Mapping[str, Any]) -> str:
    """Return a line on the runs whose images were computed in two processes, by the parts ``bits`` and ``presets``."""
    digests = [
        {row.get("run"): row.get("digest") for item in parts.get(name, {}).get("items", []) for row in item["rows"]}
        for name in ("bits", "presets")
    ]
    both = [name for name in digests[0] if name in digests[1]]
    if not both:
        return ""
    other = [name for name in both if digests[0][name] != digests[1][name]]
    same = f"{len(both) - len(other)} of {len(both)} runs have an image with the same bits in both."
    more = f" Not so: **{', '.join(other)}**." if other else ""
    return f"### In two processes\n\n{same}{more}\n"
