"""The input of a reconstruction: which problem is solved, with which settings, and what it needs beside the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_convgen.config import Config, for_reconstruction, preset, presets_for
from napari_convgen.errors import ConfigError
from napari_convgen.run.reconstruct.problems import PROBLEMS, Given, InverseProblem
from napari_convgen.run.setup.inputs import ImageLike, as_image


def pose_problem(
    name: str,
    image: ImageLike,
    config: Config | str | None,
    changes: Mapping[str, Any],
    axes: str | None,
    n_spared_threads: int,
    inputs: Mapping[str, Any],
) -> InverseProblem:
    """Return a problem with its checked input.

    Parameters
    ----------
    name
        Name of the problem, see `PROBLEMS`.
    image
        The measurement.
    config
        Configuration, or name of a preset, some of which take more steps in some problems; ``None`` for the preset of the problem.
    changes
        New settings by dotted name; ``None`` among them leaves a setting as it is.
    axes, n_spared_threads
        As for `Given`.
    inputs
        What is given beside the image, by keyword; ``None`` among them is not given.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be reconstructed, in a sentence.
    """
    problem, chosen = choose_config(name, config, changes, inputs)
    own = {key: value for key, value in inputs.items() if key in problem.inputs and value is not None}
    given = Given(as_image(image, axes=axes), chosen, axes, n_spared_threads)
    pose: Callable[..., InverseProblem] = problem
    return pose(given, **own)


def choose_config(
    name: str, config: Config | str | None, changes: Mapping[str, Any], inputs: Mapping[str, Any]
) -> tuple[type[InverseProblem], Config]:
    """Return a problem and its settings; parameters and errors are those of `pose_problem`."""
    if not isinstance(name, str) or name not in PROBLEMS:
        raise ConfigError(f"There is no problem {name!r}. The problems are {', '.join(PROBLEMS)}.")
    problem = PROBLEMS[name]
    inputs = {key: value for key, value in inputs.items() if value is not None}
    for key in inputs:
        if key not in problem.inputs and key not in problem.settings:
            raise ConfigError(_refuse_input(name, key))
    settings = {problem.settings[key]: inputs[key] for key in inputs if key in problem.settings}
    settings |= {key: value for key, value in changes.items() if value is not None}
    for key in inputs:
        for setting in settings.keys() & problem.replaced.get(key, ()):
            raise ConfigError(f"The {problem.inputs[key]} ({key}) takes the place of {setting}. Leave one of them out.")
    if isinstance(config, Config):
        chosen = for_reconstruction(config, name)
    else:
        named = problem.preset if config is None else config
        preset(named)  # refuses a name that there is not
        chosen = presets_for(name)[named]
    return problem, _choose_operator(problem, chosen, settings)


def _choose_operator(problem: type[InverseProblem], config: Config, settings: Mapping[str, Any]) -> Config:
    """Return a configuration with an operator of the problem that has the settings which are given, and with noise that suits it."""
    kinds = problem.operators
    named = {name.removeprefix("operator.") for name in settings if name.startswith("operator.")}
    able = [kind for kind, model in kinds.items() if named <= set(model.model_fields)] or list(kinds)
    own = {"operator.kind": config.operator.kind if config.operator.kind in able else able[0]}
    own_noise = set(type(config.noise).model_fields) if config.noise.is_modeled else set()
    own |= {
        name: value
        for name, value in problem.changes.items()
        if not name.startswith("noise.") or name.removeprefix("noise.") in own_noise
    }
    shared = "noise.is_shared"
    if shared in own and (settings.get(shared) or config.value(shared)) == "yes":
        raise ConfigError(
            f"{shared} = 'yes' is not for this problem, whose operator maps the intensities of each channel. Choose 'auto' or 'no'."
        )
    chosen = config.replace(own).replace(settings)
    if chosen.generator.has_guide:
        chosen = chosen.replace({"generator.guide": "plug-and-play"})
    if chosen.operator.kind not in kinds:
        raise ConfigError(
            f"This problem has operator.kind {' or '.join(map(repr, kinds))}, got {chosen.operator.kind!r}."
        )
    return chosen


def _refuse_input(name: str, key: str) -> str:
    owners = [repr(each) for each, problem in PROBLEMS.items() if key in (*problem.inputs, *problem.settings)]
    if not owners:
        known = [key for problem in PROBLEMS.values() for key in (*problem.inputs, *problem.settings)]
        return f"There is no input {key!r}. The inputs are {', '.join(known)}."
    named = [f"{problem.inputs[key]} ({key})" for problem in PROBLEMS.values() if key in problem.inputs] or [key]
    return f"The problem {name!r} takes no {named[0]}. Choose the problem {' or '.join(owners)}, or leave it out."
