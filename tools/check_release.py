"""Check a release: build it, install the wheel into bare environments, and use it there as a new user would.

    python tools/check_release.py                        # all environments; writes benchmarks/results/release.md
    python tools/check_release.py 3.11+PyQt6+newest      # one of them

Needs ``build``, each Python of the table on the path (``python3.11``, …), and PyTorch's CPU build where pip finds it: otherwise pip takes
one with CUDA, of some gigabytes. Each environment is deleted before the next one is made.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "benchmarks" / "results" / "release.md"


@dataclass(frozen=True)
class Environment:
    """What a new user may have.

    Attributes
    ----------
    python
        Version of Python, such as ``"3.11"``.
    binding
        Package of Qt: ``"PyQt6"`` or ``"PySide6"``.
    napari
        Version of napari, such as ``"0.8"``; ``"newest"`` for the newest one.
    is_built_there
        True to install the source distribution, which pip builds; False, the default, for the wheel.
    """

    python: str
    binding: str
    napari: str
    is_built_there: bool = False

    def __str__(self) -> str:
        return f"{self.python}+{self.binding}+{self.napari}"

    def requirement(self) -> str:
        """Return napari with its binding, as pip takes it."""
        version = "" if self.napari == "newest" else f"=={self.napari}.*"
        return f"napari[{self.binding.lower()}]{version}"


MATRIX = (
    Environment("3.11", "PyQt6", "newest", is_built_there=True),
    Environment("3.12", "PySide6", "0.8"),
    Environment("3.13", "PyQt6", "newest"),
    Environment("3.13", "PySide6", "newest"),
    Environment("3.11", "PySide6", "0.6"),
    Environment("3.12", "PyQt6", "0.6"),
)


def main() -> None:
    """Check the environments that are named, or all, and end with 1 if one of them fails."""
    names = {str(environment): environment for environment in MATRIX}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environments", nargs="*", metavar="ENVIRONMENT", help=f"{', '.join(names)}; default: all")
    chosen = parser.parse_args().environments
    if unknown := set(chosen) - set(names):
        parser.error(f"unknown environment {', '.join(unknown)}; there are {', '.join(names)}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder) / "dist")
        for environment in [names[name] for name in chosen] or MATRIX:
            with tempfile.TemporaryDirectory() as bare:
                rows.append(check(environment, wheel, Path(bare)))
            print(*rows[-1], sep=" | ", flush=True)
    if not chosen:
        TABLE.write_text(table(wheel.name, rows), encoding="utf-8")
    sys.exit(any(row[-1] != "passed" for row in rows))


def build(folder: Path) -> Path:
    """Build the source distribution, and the wheel from it; return the wheel."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def check(environment: Environment, wheel: Path, folder: Path) -> list[str]:
    """Install the wheel into an empty environment and use it; return the row of the table."""
    print(f"\n{environment}", flush=True)
    python = folder / "venv" / "bin" / "python"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables |= {"HOME": str(folder), "NAPARI_STRICT_QT": "1"}  # a Qt object that outlives its window is an error

    def run(*command: str | Path) -> None:
        subprocess.run(command, check=True, cwd=folder, env=variables)

    name = [
        environment.python,
        environment.binding,
        environment.napari,
        "source" if environment.is_built_there else "wheel",
    ]
    package = next(wheel.parent.glob("*.tar.gz")) if environment.is_built_there else wheel
    step, found = "installing", ["", "", ""]
    try:
        subprocess.run([f"python{environment.python}", "-m", "venv", folder / "venv"], check=True)
        run(
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            pinned("torch"),
            environment.requirement(),
            package,
        )
        step = "command line and Python"
        run(python, "-I", ROOT / "tools" / "release" / "commands.py")
        found = json.loads((folder / "versions.json").read_text())
        step = "window"
        run(ROOT / "tools" / "with-display", python, "-I", ROOT / "tools" / "release" / "windows.py")
    except subprocess.CalledProcessError as error:
        return [*name, *found, f"{step}: ended with {error.returncode}"]
    return [*name, *found, "passed"]


def pinned(package: str) -> str:
    """Return the requirement of a package that ``constraints.txt`` has."""
    return re.search(rf"^{package}==.*$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[0]


def table(wheel: str, rows: list[list[str]]) -> str:
    """Return the results as Markdown."""
    head = ["Python", "Qt", "napari", "installed from", "napari installed", "torch", "NumPy", "result"]
    lines = [f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]]
    return (
        f"`{wheel}`, built from the source distribution and installed without a checkout. In each environment: the version, a denoising "
        "from the command line and from Python, and in a napari window each widget opened, a denoising run by its button, and the "
        "window closed, with `NAPARI_STRICT_QT`, which makes an error of each Qt object that outlives its window.\n\n"
        + "\n".join(lines)
        + "\n"
    )


if __name__ == "__main__":
    main()
