import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# In the order in which one interpreter runs them, those of the viewer last.
WITHOUT_QT = ["import napari_convgen", "import napari_convgen.config", "import napari_convgen.cli"]
WITHOUT_TORCH = [
    *WITHOUT_QT,
    "import napari_convgen.samples",
    "import npe2; assert npe2.PluginManifest.from_distribution('napari-convgen').contributions.widgets",
    "import napari_convgen.run.kernels.panels",
    "import napari_convgen.figures.files",
    "import napari_convgen.viewer.samples",
    "import napari_convgen.viewer.denoise.session",
    "import napari_convgen.viewer.compare.widget",
    "import napari_convgen.viewer.denoise.widget",
    "import napari_convgen.viewer.image_vs_noise.widget",
    "import napari_convgen.viewer.kernels.widget",
    "import napari_convgen.viewer.reconstruct.widget",
    "import napari_convgen.viewer.spectrum.widget",
]

SCIPY = {f"scipy.{part}" for part in ("fft", "linalg", "ndimage", "optimize", "sparse", "spatial", "special")}
"""What takes most of the time of opening a widget, where it is loaded."""

RUN = """
import json, sys
loaded = {}
for statement in json.loads(sys.argv[1]):
    before = set(sys.modules)
    exec(statement)
    loaded[statement] = sorted(set(sys.modules) - before)
print("\\nLOADED", json.dumps(loaded))
"""


def modules_loaded_by(*statements):
    """The modules that each of some statements loads in a fresh interpreter that runs one after the other."""
    run = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(statements)],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout.split("LOADED")[-1])


@pytest.fixture(scope="module")
def loaded():
    return modules_loaded_by(*WITHOUT_TORCH)


def test_the_modules_that_a_statement_loads_are_seen(loaded):
    assert "napari_convgen" in loaded["import napari_convgen"]
    assert "qtpy" in {module for modules in loaded.values() for module in modules}


@pytest.mark.parametrize("statement", WITHOUT_TORCH)
def test_no_torch_is_loaded_by(statement, loaded):
    assert "torch" not in loaded[statement]


@pytest.mark.parametrize("statement", [each for each in WITHOUT_TORCH if each.endswith(".widget")])
def test_no_part_of_scipy_is_loaded_by_a_widget(statement, loaded):
    assert [module for module in loaded[statement] if module in SCIPY] == []


@pytest.mark.parametrize("statement", WITHOUT_QT)
def test_no_qt_and_no_napari_is_loaded_by(statement, loaded):
    assert not {"qtpy", "napari", "magicgui", "superqt"} & set(loaded[statement])


def test_a_checkout_on_the_path_needs_no_installation():
    command = [sys.executable, "-S", "-c", "import napari_convgen; print(napari_convgen.__version__)"]  # no packages
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent / "src")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "unknown\n"


def test_torch_is_loaded_when_the_verb_is_first_asked_for():
    [modules] = modules_loaded_by("from napari_convgen import denoise").values()
    assert "torch" in modules
    assert not {"qtpy", "napari", "magicgui"} & set(modules)
