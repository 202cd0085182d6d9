"""What CONTRIBUTING.md says that an addition takes is all that it takes: a toy of each kind, in those files alone, works."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGE = ROOT / "src" / "napari_convgen"


@dataclass(frozen=True)
class Edit:
    """Text that is put before and after a place of a file, which must be there once."""

    file: str
    anchor: str
    before: str = ""
    after: str = ""

    def make(self, package):
        path = package / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.anchor) == 1, f"{self.anchor!r} is there {text.count(self.anchor)} times in {self.file}."
        new = self.before + self.anchor + self.after
        path.write_text(text.replace(self.anchor, new), encoding="utf-8")


@dataclass(frozen=True)
class Toy:
    """An addition: the section of CONTRIBUTING.md that says what it takes, its new file, and its edits."""

    section: str
    source: str
    target: str
    edits: tuple[Edit, ...]

    @property
    def files(self):
        return {"New": [self.target], "Edited": sorted({edit.file for edit in self.edits})}

    def add(self, package):
        assert not (package / self.target).exists()
        shutil.copy(HERE / "toys" / self.source, package / self.target)
        for edit in self.edits:
            edit.make(package)


BUILD = "run/setup/build.py"
NOISE_TABLE = "core/noise/models/__init__.py"
PROBLEM_TABLE = "run/reconstruct/problems/__init__.py"
ONE_EDIT = ("A new file format", "A new problem to reconstruct")


def settings(file, name, anchor, joint, model):
    """Write a model of settings above a union of them, and its name into the union."""
    return Edit(file, anchor, before=f"\n{dedent(model)}\n", after=name + joint)


def imports(file, statement, anchor="from napari_convgen.core.problem import Problem\n"):
    """Write an import above another one."""
    return Edit(file, anchor, before=f"from napari_convgen.{statement}\n")


TOYS = [
    Toy(
        "A new stopping rule",
        "rule.py",
        "core/stopping/toy.py",
        (
            settings(
                "config/stopping.py",
                "ToyStopConfig",
                "\nStoppingConfig = (\n    ",
                "\n    | ",
                """\
                class ToyStopConfig(StoppingSettings):
                    '''Loss below a threshold.'''

                    criterion: ClassVar[str] = "loss / threshold"

                    kind: Literal["toy"] = "toy"
                    threshold: float = Field(0.01, gt=0, title="Threshold", description="Mean squared residual at the stop.")
                """,
            ),
            imports(BUILD, "core.stopping.toy import ToyRule"),
            Edit(BUILD, '    "fixed": lambda', before='    "toy": lambda s, output, _: ToyRule(s.threshold),\n'),
        ),
    ),
    Toy(
        "A new generator",
        "generator.py",
        "core/generators/toy.py",
        (
            settings(
                "config/generators.py",
                "ToyGeneratorConfig",
                "\nGeneratorConfig = (\n    ",
                "\n    | ",
                """\
                class ToyGeneratorConfig(GeneratorSettings):
                    '''Mixture of waves.'''

                    kind: Literal["toy"] = "toy"
                    highest_frequency: float = Field(8.0, gt=0, title="Highest frequency", description="Waves along an axis, at most.")
                """,
            ),
            imports(BUILD, "core.generators.toy import ToyGenerator, memory_bytes"),
            Edit(
                BUILD,
                '    "deep-decoder": GeneratorEntry(',
                before=(
                    '    "toy": GeneratorEntry(\n        ToyGenerator,\n        lambda settings, plan: ToyGenerator('
                    "plan.size, plan.n_outputs, rngs=plan.rngs, **_options(settings)),\n        memory_bytes,\n    ),\n"
                ),
            ),
        ),
    ),
    Toy(
        "A new forward operator",
        "operator.py",
        "core/operators/toy.py",
        (
            settings(
                "config/operators.py",
                "ToyOperatorConfig",
                "\nOperatorConfig = (\n    ",
                "\n    | ",
                """\
                class ToyOperatorConfig(OperatorSettings):
                    '''Circular blur.'''

                    kind: Literal["toy"] = "toy"
                    width: float = Field(1.0, gt=0, title="Width", description="Standard deviation of the blur, in pixels.")
                """,
            ),
            imports(BUILD, "core.operators.toy import toy_blur"),
            Edit(
                BUILD,
                '    "identity": lambda',
                before='    "toy": lambda settings, shape: toy_blur(shape, settings.width),\n',
            ),
        ),
    ),
    Toy(
        "A new kind of noise",
        "noise.py",
        "core/noise/models/toy.py",
        (
            settings(
                "config/noise.py",
                "ToyNoiseConfig",
                "\nNoiseConfig = (\n    ",
                "\n    | ",
                """\
                class ToyNoiseConfig(_ModeledNoise):
                    '''Laplace noise.'''

                    kind: Literal["toy"] = "toy"
                    scale: Sigma = Field("auto", title="Scale", description="Mean absolute value of the noise.")
                """,
            ),
            imports(
                NOISE_TABLE,
                "core.noise.models.toy import ToyNoise",
                "from napari_convgen.core.noise.models.rician import",
            ),
            Edit(NOISE_TABLE, "for model in (", after="ToyNoise, "),
        ),
    ),
    Toy(
        "A new problem to reconstruct",
        "problem.py",
        "run/reconstruct/problems/toy.py",
        (
            imports(
                PROBLEM_TABLE,
                "run.reconstruct.problems.toy import ToyProblem",
                "from napari_convgen.run.reconstruct.problems.base import",
            ),
            Edit(PROBLEM_TABLE, '"inpaint": Inpaint', before='"toy": ToyProblem, '),
        ),
    ),
    Toy(
        "A new file format",
        "file_format.py",
        "files/toy.py",
        (
            Edit("files/formats.py", "from napari_convgen.files import ", after="toy, "),
            Edit("files/formats.py", "    tiff.FORMAT,\n", after="    toy.FORMAT,\n"),
        ),
    ),
]


def promised_files(section):
    """Return the new and the edited files that a section of CONTRIBUTING.md names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {section}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert found, f"CONTRIBUTING.md has no section '{section}'."
    lines = dict(re.findall(r"^- (New|Edited): (.*)$", found[1], re.MULTILINE))
    return {what: sorted(re.findall(r"`([^`]+)`", line.replace("NAME", "toy"))) for what, line in lines.items()}


def contents(package):
    return {
        str(path.relative_to(package)): path.read_bytes()
        for path in package.rglob("*")
        if "__pycache__" not in path.parts and path.is_file()
    }


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package with all toys in it."""
    copy = tmp_path_factory.mktemp("source") / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for toy in TOYS:
        toy.add(copy)
    return copy


@pytest.fixture(scope="module")
def failures(package):
    """What went wrong with each toy, by the name of its check."""
    environment = os.environ | {"PYTHONPATH": str(package.parent), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, str(HERE / "try_toys.py")],
        env=environment,
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: toy.section)
def test_contributing_names_the_files_of_an_addition(toy):
    assert toy.files == promised_files(toy.section)
    assert (len(toy.files["New"]), len(toy.files["Edited"])) == (1, 1 if toy.section in ONE_EDIT else 2)


def test_no_other_file_is_touched(package):
    before, after = contents(PACKAGE), contents(package)
    changed = {path for path, content in after.items() if before.get(path) != content}
    assert changed == {file for toy in TOYS for files in promised_files(toy.section).values() for file in files}


@pytest.mark.parametrize("name", ["rule", "generator", "operator", "noise", "problem", "file_format", "all_together"])
def test_a_toy_works_from_end_to_end(failures, name):
    assert not failures[name], failures[name]
