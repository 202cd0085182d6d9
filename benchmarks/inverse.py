"""Reconstruction against classical methods: how far each is from the truth, on simulated measurements.

    python benchmarks/inverse.py [--output FILE] mri [--size 128 112] [--phantoms 2] [--draws 3] [--steps 800]
    python benchmarks/inverse.py [--output FILE] inpaint|inpaint-missing|enlarge|deblur|sensing --data FOLDER
        [--draws 1] [--tune] [--presets quick default]
    python benchmarks/inverse.py [--output FILE] phase [--size 64] [--draws 2] [--starts 10]
    python benchmarks/inverse.py [--output FILE] constants|stop|doubt --data FOLDER

Every rival is given the same measurement, operator and held-out entries as the generator; what it leaves open, a weight or a number of
steps, is chosen by those entries too. Each part writes its section of benchmarks/results/inverse.md, between marks by which pages of the
documentation include it, and leaves the others as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import inverse_constants
import inverse_doubt
import inverse_mri
import inverse_phase
import inverse_stop
from inverse_images import Deblur, Enlarge, Inpaint, InpaintMissing, Sensing
from sections import write_section

PARTS = {
    "mri": inverse_mri,
    "inpaint": Inpaint(),
    "inpaint-missing": InpaintMissing(),
    "enlarge": Enlarge(),
    "deblur": Deblur(),
    "phase": inverse_phase,
    "sensing": Sensing(),
    "constants": inverse_constants,
    "stop": inverse_stop,
    "doubt": inverse_doubt,
}
"""Modules of the parts; each has a title, ``add_options``, and ``measure``, which returns its section as text."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "inverse.md")
    parts = parser.add_subparsers(dest="part", required=True)
    for name, part in PARTS.items():
        part.add_options(parts.add_parser(name, help=part.TITLE))
    arguments = parser.parse_args()
    part = PARTS[arguments.part]
    text = part.measure(arguments)
    print(text)
    marked = f"<!-- --8<-- [start:{arguments.part}] -->\n\n{text.strip()}\n\n<!-- --8<-- [end:{arguments.part}] -->"
    write_section(arguments.output, part.TITLE, marked, heading="##")


if __name__ == "__main__":
    main()
