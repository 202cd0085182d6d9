"""Check the built documentation: every formula is drawn, and the site holds all that it needs for that.

    python tools/check_site.py site

With Chromium on the path the pages are opened, and what is on them then is checked; without it, only what mkdocs wrote, which is said.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
CODE = re.compile(r"<(code|script|annotation)\b.*?</\1>", re.DOTALL)
RAW = re.compile(r"\\[(\[]|\$\$|(?<!\w)\$[^$<>\n]+\$")
"""Formulas that nothing would draw."""


def main() -> None:
    """Check all pages, and end with their faults."""
    site = Path(sys.argv[1])
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    faults = [fault for page in sorted(site.rglob("*.html")) for fault in faults_of(page, browser)]
    if faults:
        sys.exit("\n".join(faults))
    if browser is None:
        print(
            f"NOT CHECKED: whether the formulas of {site} are drawn. There is no Chromium on the path; "
            "only what mkdocs wrote was looked at. Install Chromium and run this again.",
            file=sys.stderr,
        )
    else:
        print(f"All formulas of {site} are drawn.")


def faults_of(page: Path, browser: str | None) -> list[str]:
    """Return a line for each formula of a page that is not drawn."""
    written = page.read_text(encoding="utf-8")
    formulas = FORMULA.findall(written)
    faults = [f"{page}: {raw} is no formula" for raw in RAW.findall(CODE.sub("", FORMULA.sub("", written)))]
    if not formulas:
        return faults
    for name in re.findall(r'(?:src|href)="([^":]*(?:katex|formulas)[^"]*)"', written):
        if not (page.parent / name).is_file():
            faults.append(f"{page}: {name} is missing")
    if browser is not None:
        drawn = opened(page, browser)
        faults += [f"{page}: {raw} is not drawn" for raw in RAW.findall(CODE.sub("", drawn))]
        faults += [f"{page}: {error}" for error in re.findall(r'class="katex-error" title="(.*?)"', drawn)]
        if (n_drawn := drawn.count('<span class="katex">')) != len(formulas):
            faults.append(f"{page}: {n_drawn} of {len(formulas)} formulas are drawn")
    return faults


def opened(page: Path, browser: str) -> str:
    """Return the document that a page has become in a browser without a window."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        command += ["--virtual-time-budget=5000", "--dump-dom", page.resolve().as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


if __name__ == "__main__":
    main()
