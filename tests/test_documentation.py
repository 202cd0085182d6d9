"""What the documentation says is so: its commands and its code run, its names and sentences are the program's."""

import importlib.util
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image
from raw_data import write_fastmri

from napari_convgen import cli, new_image, samples, write_image
from napari_convgen.config import PRESETS
from napari_convgen.core.image import Image as CoreImage
from napari_convgen.core.mri.simulation import equispaced, head, scan
from napari_convgen.core.operators.microscopes import led_array, through_focus
from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.regularized.plug_and_play import plug_and_play_stages

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
SOURCE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
MANIFEST = yaml.safe_load((ROOT / "src" / "napari_convgen" / "napari.yaml").read_text(encoding="utf-8"))[
    "contributions"
]

SHORTER = {
    r"--steps \d+": "--steps 3",
    r"rank([ =])\d+": r"rank\g<1>6",
    r"at_steps=\(0, \d+\)": "at_steps=(0, 2)",
    r"(projection|remainder)\(\d+\)": r"\1(3)",
    r"extend\(\d+": "extend(3",
    r"(n_channels\W+)\d+": r"\g<1>8",
    r" --scheduler \S+": "",
    r"--rows \d+ --columns \d+": "--rows 32 --columns 28",
}
"""What is written in the place of numbers that take long, and of a cluster."""


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


def commands(page):
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("napari-convgen ") and "$" not in line and "cuda" not in line]


def shortened(text):
    for long, short in SHORTER.items():
        text = re.sub(long, short, text)
    return text


def arguments(command):
    """The words of a command of the documentation, without workers and without what is not installed."""
    name, *words = shortened(command).split(" > ")[0].split()
    assert name == "napari-convgen"
    if importlib.util.find_spec("bm3d") is None and "bm3d" in words:
        words.remove("bm3d")
    if words[0] == "batch":
        return words if "--status" in words else [*words, "--dry-run"]
    return [*words, "--force"] if words[0] in ("denoise", "reconstruct", "simulate") else words


@pytest.fixture
def image():
    y, x = np.mgrid[:32, :28]
    return (100 + 60 * np.sin(x / 5) * np.cos(y / 4) + np.random.default_rng(0).normal(0, 5, x.shape)).astype(
        np.float32
    )


@pytest.fixture
def short_estimates(monkeypatch):
    """Two turns of plug and play and one trial of its noise, two weights of total variation, few steps of all that takes many."""

    def few(problem, weights=None, is_color=False, n_turns=2, first_level=0.1, **others):
        return plug_and_play_stages(problem, weights, is_color, min(n_turns, 2), first_level, **others)

    users = (
        "core.regularized.plug_and_play",
        "core.regularized.smooth_share",
        "core.phase.refinement",
        "run.setup.guides",
    )
    for module in users:
        monkeypatch.setattr(f"napari_convgen.{module}.plug_and_play_stages", few)
    monkeypatch.setattr("napari_convgen.core.regularized.plug_and_play.MAX_DRAWS", 1)
    monkeypatch.setattr("napari_convgen.core.regularized.smoothest.N_STEPS", 20)
    for steps in ("MIXED_STEPS", "ALONE_STEPS"):
        monkeypatch.setattr(f"napari_convgen.config.presets.{steps}", {})
    monkeypatch.setattr("napari_convgen.core.phase.calibration.N_STEPS", 2)
    monkeypatch.setattr("napari_convgen.core.regularized.choice.MOST_WEIGHTS", 2)
    monkeypatch.setattr("napari_convgen.run.setup.operator_guides.LEVELS", (1.0,))
    for name in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS", "N_DESCENT_PRODUCTS"):
        monkeypatch.setattr(f"napari_convgen.run.spectrum.run.{name}", 4)


@pytest.fixture
def no_figures(monkeypatch):
    """Leave the figures of commands empty: to draw them takes longer than a small run."""
    for command in ("compare_fits", "spectrum"):
        monkeypatch.setattr(f"napari_convgen.cli.commands.{command}.write_figure", lambda path, panels: path.touch())


@pytest.fixture
def folder(tmp_path, monkeypatch, image, short_estimates, no_figures):
    """A folder with all files that the documentation names, small ones, and presets that end soon."""
    monkeypatch.chdir(tmp_path)
    for name, config in PRESETS.items():
        few = {"n_steps": min(config.n_steps, 6), "n_threads": 1, "precision": "float32"}
        few |= {"generator.n_channels": 8, "generator.n_scales": 2, "generator.n_lessons": 2}
        few |= {"generator.begins_with": "chance"}
        monkeypatch.setitem(PRESETS, name, config.replace({key: few[key] for key in few if config.has(key)}))
    y, x = np.mgrid[:32, :28]
    Path("data").mkdir()
    for name in ("image", "truth", "noisy", "clean", "data/first"):
        tifffile.imwrite(f"{name}.tif", image, imagej=True, resolution=(10, 10), metadata={"unit": "micron"})
    Image.fromarray(image[:18, :16].clip(0, 255).astype(np.uint8)).save("picture.png")
    Image.fromarray(np.uint8(255) * (x % 3 == y % 2)).save("mask.png")
    patterns = np.random.default_rng(1).integers(0, 2, (224, 32, 28))
    tifffile.imwrite("patterns.tif", patterns.astype(np.uint8))
    tifffile.imwrite("sums.tif", (patterns * image).sum((1, 2)).astype(np.float32)[np.newaxis])
    tifffile.imwrite("psf.tif", np.exp(-((x[:9, :9] - 4.0) ** 2) - (y[:9, :9] - 4.0) ** 2).astype(np.float32))
    nibabel.save(nibabel.Nifti1Image(np.stack([image[:, :24]] * 5, -1), np.eye(4)), "head.nii.gz")
    size = (32, 24)
    small = scan(head(size), equispaced(size, 2), noise=0.01)
    monkeypatch.setattr(samples, "kspace", lambda: small)
    whole = samples.mri_volume()
    part = {name: getattr(whole, name)[:5, 30:62, 30:58] for name in ("noisy", "clean")}
    monkeypatch.setattr(samples, "mri_volume", lambda: replace(whole, **part))
    write_fastmri("scan.h5", np.stack([small.kspace] * 13))
    for name, values in (("scan", small.kspace), ("maps", small.coil_maps)):
        write_image(f"{name}.cfl", values, new_image(CoreImage(values, "CYX")))
    Image.fromarray(np.uint8(255) * small.is_sampled).save("sampling.png")
    write_phase_images()


def write_phase_images():
    """Write images of a phase through focus, and under several lights."""
    waves = 0.2 * np.array([[np.sin(angle), np.cos(angle)] for angle in range(6)])
    np.savetxt("sines.csv", waves, delimiter=",")
    planes = 2.0 * np.arange(-2, 3)
    focus = through_focus(Objective(0.5, 0.52, 1.0), (0.2, 0.2), planes.tolist(), (18, 16))
    leds = led_array(Objective(0.25, 0.52, 1.0), (0.25, 0.25), waves, (20, 18), factor=2)
    for name, imaging, size in (("stack", focus, 0.2), ("leds", leds, 0.5)):
        y, x = (torch.arange(n) - n / 2 for n in imaging.size)
        phase = torch.exp(-(y[:, None] ** 2 + (x + 2) ** 2) / 30)[None]
        images = imaging.joint(phase, torch.zeros(1))[0].numpy()
        noisy = np.random.default_rng(0).poisson(1000 * images).astype(np.float32)
        metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "micron"}
        tifffile.imwrite(f"{name}.tif", noisy, imagej=True, resolution=(1 / size, 1 / size), metadata=metadata)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_the_commands_run(page, folder, capsys):
    for command in commands(page):
        assert cli.main(arguments(command)) == 0, f"{command}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_the_code_runs(page, folder, image):
    """The blocks of a page run one after the other, on an image, a reference, a mask and a point spread function."""
    names = {
        "__name__": page,
        "image": image,
        "clean": image,
        "mask": image > image.mean(),
        "psf": np.outer(*2 * [[1, 2, 1.0]]),
    }
    for block in blocks(page, "python"):
        exec(compile(shortened(block), page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_names_are_those_of_the_program(page):
    text = PAGES[page]
    widgets = {each["display_name"] for each in MANIFEST["widgets"]}
    opened = {each["display_name"] for each in MANIFEST["sample_data"]}
    assert set(re.findall(r"Plugins → Convolutional generators → ([^*]+)\*", text)) <= widgets
    assert set(re.findall(r"Open Sample → Convolutional generators → ([^*]+)\*", text)) <= opened
    assert set(re.findall(r"(?:--preset |preset = \")([a-z-]+)", text)) <= set(PRESETS)


def test_messages_of_the_troubleshooting_page_are_those_of_the_program():
    source = re.sub(r'"\s*f?"', "", SOURCE)
    messages = re.findall(r"^\| `(.*?)` \|", PAGES["docs/troubleshooting.md"], re.MULTILINE)
    assert len(messages) > 15
    for message in messages:
        for part in message.split("…"):
            assert part.strip() in source, message


def test_parts_that_the_program_writes():
    spec = importlib.util.spec_from_file_location("from_program", ROOT / "docs" / "from_program.py")
    parts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parts)
    for page, text in PAGES.items():
        assert "{{" not in parts.on_page_markdown(text), page
    shown = parts.on_page_markdown("{{ presets }}\n\n{{ widgets }}\n\n{{ quality }}")
    assert all(f"`{name}`" in shown for name in PRESETS)
    assert "| *Reconstruct* | *Layers → Filter → Reconstruct (Convolutional generators)* |" in shown
    assert re.search(r"\| all \| \d+ \|( \d+\.\d\d \|){5}", shown)


def test_the_citation_has_the_license_of_the_program_and_a_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == project["license"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", citation["version"])
