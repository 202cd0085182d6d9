import os
from pathlib import Path

from jaxtyping import install_import_hook

# Tensors are tiny here: more threads only wait for each other. Subprocesses inherit it, for the same numbers.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Where a test has more threads all the same, those that wait must not spin: another process of the tests wants the core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Shapes and types of the numerics are checked while tests run. An int passes for a float; a signature that beartype
# cannot check at run time (a typing.Protocol, or Self) is left unchecked.
CONFIGURATION = "is_pep484_tower=True, warning_cls_on_decorator_exception=ImportWarning"

SOURCES = Path(__file__).parent.parent / "src"
MODULES = [
    ".".join(path.relative_to(SOURCES).with_suffix("").parts)
    for path in sorted((SOURCES / "napari_convgen" / "core").rglob("[!_]*.py"))
    if not path.stem.endswith("_kernels")  # compiled, not run by Python
]

install_import_hook(MODULES, f"beartype.beartype(conf=beartype.BeartypeConf({CONFIGURATION}))")


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore:.*not decoratable by @beartype:ImportWarning")
