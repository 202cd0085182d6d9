"""Files of results in sections, so that one part of a benchmark can be run again and leaves the others as they are."""

from __future__ import annotations

import re
from pathlib import Path


def write_section(path: Path, title: str, text: str, *, heading: str = "###") -> None:
    """Put a section into a file, in the place of the one with the same title, or at the end."""
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    sections = dict(re.findall(rf"^{heading} (.+?)\n(.*?)(?=^{heading} |\Z)", known, re.MULTILINE | re.DOTALL))
    sections[title] = text
    content = "\n".join(f"{heading} {name}\n\n{section.strip()}\n" for name, section in sections.items())
    path.write_text(content, encoding="utf-8")
