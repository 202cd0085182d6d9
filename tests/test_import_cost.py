import os
import subprocess
import sys

import pytest


def modules_after(statement):
    """The modules that a fresh interpreter has loaded after a statement."""
    return (
        subprocess.run(
            [sys.executable, "-c", f"{statement}\nimport sys\nprint('\\nLOADED', *sys.modules)"],
            env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
            capture_output=True,
            text=True,
            check=True,
        )
        .stdout.split("LOADED")[-1]
        .split()
    )


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_convgen",
        "import napari_convgen.config",
        "import napari_convgen.samples",
        "import npe2; assert npe2.PluginManifest.from_distribution('napari-convgen').contributions.widgets",
        "import napari_convgen.viewer.compare.widget",
        "import napari_convgen.viewer.denoise.widget",
        "import napari_convgen.viewer.image_vs_noise.widget",
        "import napari_convgen.viewer.kernels.widget",
        "import napari_convgen.viewer.spectrum.widget",
        "import napari_convgen.viewer.samples",
        "import napari_convgen.viewer.denoise.session",
        "import napari_convgen.cli",
    ],
)
def test_no_torch_is_loaded_by(statement):
    modules = modules_after(statement)
    assert "sys" in modules
    assert "torch" not in modules


@pytest.mark.parametrize(
    "statement", ["import napari_convgen", "import napari_convgen.config", "import napari_convgen.cli"]
)
def test_no_qt_and_no_napari_is_loaded_by(statement):
    assert not {"qtpy", "napari", "magicgui", "superqt"} & set(modules_after(statement))


def test_torch_is_loaded_when_the_verb_is_first_asked_for():
    modules = modules_after("from napari_convgen import denoise")
    assert "torch" in modules
    assert not {"qtpy", "napari", "magicgui"} & set(modules)
