import dataclasses
import functools
import gc
import importlib.util
import inspect
import os
import sys
from collections import Counter
from pathlib import Path

import jaxtyping

# Tensors are tiny here: more threads only wait for each other. Subprocesses inherit it, for the same numbers.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Where a test has more threads all the same, those that wait must not spin: another process of the tests wants the core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# No preferences of napari are read, and none are written, by a test or a process that it starts.
os.environ["NAPARI_CONFIG"] = ""

# What is compiled of the sources and of the tests is kept, wherever the tests run: their processes would compile it again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Shapes and types of the numerics are checked while tests run. An int passes for a float; a signature that beartype
# cannot check at run time (a typing.Protocol, or Self) is left unchecked.
CONFIGURATION = "is_pep484_tower=True, warning_cls_on_decorator_exception=ImportWarning"

SOURCES = Path(__file__).parent.parent / "src"
MODULES = [
    ".".join(path.relative_to(SOURCES).with_suffix("").parts)
    for path in sorted((SOURCES / "napari_convgen" / "core").rglob("[!_]*.py"))
    if not path.stem.endswith("_kernels")  # compiled, not run by Python
]

# A fit calls the same functions with the same shapes at each of its steps, and a check takes longer than many of them.
N_CHECKED, CHECK_ONE_IN = 3, 53

jaxtyped = jaxtyping.jaxtyped
n_calls = Counter()


def checked(target=None, *, typechecker):
    """Check a function's, or a dataclass's, first calls in each test and then one in some, from its first call on."""
    if target is None:
        return functools.partial(checked, typechecker=typechecker)
    if inspect.isclass(target):
        if dataclasses.is_dataclass(target) and not hasattr(target.__init__, "__wrapped__"):
            target.__init__ = checked(target.__init__, typechecker=typechecker)
        return target
    code, check = target.__code__, None  # one for all that an inner function becomes

    @functools.wraps(target)
    def call(*args, **kwargs):
        nonlocal check
        n_calls[code] += 1
        if n_calls[code] > N_CHECKED and n_calls[code] % CHECK_ONE_IN:
            return target(*args, **kwargs)
        check = check or jaxtyped(target, typechecker=typechecker)
        return check(*args, **kwargs)

    return call


if importlib.util.find_spec("beartype"):  # benchmarks/gpu.py runs tests on machines without it
    jaxtyping.jaxtyped = checked
    jaxtyping.install_import_hook(MODULES, f"beartype.beartype(conf=beartype.BeartypeConf({CONFIGURATION}))")


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore:.*not decoratable by @beartype:ImportWarning")


def pytest_collection_finish():
    """Let the collector of garbage pass over the libraries, which stay: it took a tenth of the time. One thread computes."""
    gc.collect()
    gc.freeze()
    if "torch" in sys.modules:  # after some orders of imports it has more threads than the environment says
        sys.modules["torch"].set_num_threads(1)


def pytest_runtest_setup():
    n_calls.clear()
