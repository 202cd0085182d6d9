"""What a package index shows of a release holds there too, and the conda recipe needs what the wheel needs."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def metadata():
    command = [sys.executable, "-m", "hatchling", "metadata"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def test_links_and_pictures_have_whole_addresses(metadata):
    addresses = re.findall(r"\]\(([^)]*)\)", metadata["readme"]["text"])
    assert len(addresses) > 20
    for address in addresses:
        assert address.startswith("https://")
        if address.startswith(source := metadata["urls"]["Source"]):
            kind, path = address.removeprefix(source).split("/HEAD/")
            assert (ROOT / path.partition("#")[0]).exists()
            assert kind == ("/raw" if path.endswith((".png", ".gif")) else "/blob")


def test_the_version_is_one(metadata):
    assert re.match(r"\d+\.\d+\.\d+", metadata["version"])
    assert "version" in PROJECT["dynamic"]


def test_the_conda_recipe_needs_what_the_wheel_needs():
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    needed = [f"python{PROJECT['requires-python']}", *PROJECT["dependencies"]]
    parts = [re.match(r"([\w-]+)(.*)", each).groups() for each in needed]
    assert sorted(recipe["requirements"]["run"]) == sorted(
        f"{CONDA_NAMES.get(name, name)} {bound}".strip() for name, bound in parts
    )
    (command,) = recipe["build"]["python"]["entry_points"]
    assert command == " = ".join(*PROJECT["scripts"].items())
