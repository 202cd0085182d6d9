"""A check that every verb still gives the same numbers, bit for bit.

    python benchmarks/unchanged.py --record FILE.json
    python benchmarks/unchanged.py --compare FILE.json [--only TEXT ...]

The first command runs many small cases and writes a digest of each part of their results. The second command runs the cases again, prints
the parts that differ, and fails if there are any. Nothing that depends on time is included. Digests are valid only on the same machine and
with the same versions of libraries: record before a change, compare after it.

All use of the package is in unchanged_denoise.py and unchanged_verbs.py; the cases are in unchanged_cases.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_convgen.errors import ConvgenError
from unchanged_cases import all_cases
from unchanged_denoise import Case
from unchanged_digest import digest

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Environment that is set before numpy is loaded, so that sums do not depend on the number of cores."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--record", type=Path, metavar="FILE")
    what.add_argument("--compare", type=Path, metavar="FILE")
    parser.add_argument(
        "--only", nargs="+", action="extend", default=[], help="parts of the names of cases; all others are left out"
    )
    parser.add_argument("--verbose", action="store_true", help="print the name and the duration of each case")
    arguments = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("tifffile").addHandler(logging.NullHandler())

    cases = dict(all_cases())
    chosen = [name for name in cases if not arguments.only or any(text in name for text in arguments.only)]
    if arguments.record:
        found = {name: measure(name, cases[name], arguments.verbose) for name in chosen}
        text = json.dumps({"header": header(), "cases": found}, indent=1, ensure_ascii=False)
        arguments.record.write_text(text + "\n", encoding="utf-8")
        print(f"{len(found)} cases recorded, {sum(map(len, found.values()))} parts.")
        return 0
    recorded = json.loads(arguments.compare.read_text(encoding="utf-8"))
    for name, value in header().items():
        if recorded["header"].get(name) != value:
            print(f"Recorded with {name} {recorded['header'].get(name)}, now {value}: digests may differ for that.")
    gone = [] if arguments.only else [name for name in recorded["cases"] if name not in cases]
    for name in gone:
        print(f"{name}: is no case any more")
    counts = [compare_case(name, cases[name], recorded["cases"].get(name), arguments.verbose) for name in chosen]
    n_equal, n_cases = sum(equal for equal, _ in counts), sum(different == 0 for _, different in counts)
    n_different = sum(different for _, different in counts)
    print(f"{n_cases} of {len(chosen)} cases equal; {n_equal} parts equal, {n_different} different.")
    return 1 if n_different or gone else 0


def header() -> dict[str, Any]:
    """Return what the digests depend on apart from the package: versions, number of cores, and vector instructions."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return versions | {"cpu_count": os.cpu_count(), "cpu_capability": torch.backends.cpu.get_cpu_capability()}


def measure(name: str, case: Case, is_verbose: bool) -> dict[str, str]:
    """Run a case and return the digest of each part."""
    start = time.perf_counter()
    try:
        parts = case()
    except ConvgenError as error:  # a refusal is a result too
        parts = {"sentence": str(error)}
    if is_verbose:
        texts = [str(parts[part]) for part in ("status", "reason", "sentence") if part in parts]
        print(f"{time.perf_counter() - start:6.2f} s  {name}  {' '.join(texts)}", flush=True)
    return {part: digest(value) for part, value in parts.items()}


def compare_case(name: str, case: Case, recorded: Mapping[str, str] | None, is_verbose: bool) -> tuple[int, int]:
    """Run a case again and print what differs; return the number of equal parts and of different ones."""
    if recorded is None:
        print(f"{name}: was not recorded")
        return 0, 1
    try:
        now = measure(name, case, is_verbose)
    except Exception:
        print(f"{name}: failed\n{traceback.format_exc()}")
        return 0, len(recorded)
    differences = {part: "is new" for part in now if part not in recorded}
    differences |= {part: "is gone" for part in recorded if part not in now}
    differences |= {part: "differs" for part in recorded if part in now and now[part] != recorded[part]}
    for part, what in differences.items():
        print(f"{name}: {part} {what}", flush=True)
    return len(set(now) & set(recorded)) - list(differences.values()).count("differs"), len(differences)


if __name__ == "__main__":
    sys.exit(main())
