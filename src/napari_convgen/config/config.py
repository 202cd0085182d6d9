"""The configuration of a whole run: frozen models, presets, and their file form.

A configuration is complete: with the same image, version and device it reproduces a run. Nothing here loads torch.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_convgen.errors import ConfigError

AUTO_OR_NUMBER = {
    "n_threads": "a whole number from 1",
    "generator.n_scales": "a whole number from 1",
    "stopping.held_out_size": "a whole number from 1",
    "noise.sigma": "a number from 0",
    "noise.gain": "a number above 0",
    "noise.offset": "a number",
    "noise.correlation_length": "a whole number from 1",
}
"""Settings that are "auto" or a number, and which numbers they can be."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GeneratorConfig(_Model):
    """The generator that is fitted."""

    kind: Literal["deep-decoder", "skip-network", "guided-network"] = Field(
        "deep-decoder",
        description="deep-decoder: fixed upsampling and 1×1 convolutions; skip-network: that of the deep image prior, with learned 3×3 "
        "convolutions; guided-network: the same, but it draws from the noisy image with more noise on it instead of from a random latent.",
    )
    n_channels: int = Field(
        64, ge=1, le=4096, description="Channels of every hidden layer: more draw finer detail, and noise sooner."
    )
    n_scales: Literal["auto"] | Annotated[int, Ge(1)] = Field(
        "auto",
        description="How often the grid is doubled. auto takes 4 for a skip or guided network; for a deep decoder 3, or as many as leave "
        "16 pixels along the coarsest grid's shorter side.",
    )
    n_fine_channels: int = Field(
        16, ge=1, le=4096, description="Channels on the two finest grids; used by skip-network and guided-network."
    )
    n_skip_channels: int = Field(
        4, ge=1, le=256, description="Channels of a skip; used by skip-network and guided-network."
    )
    n_latent_channels: int = Field(32, ge=1, le=256, description="Channels of the latent; used by skip-network alone.")
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the features that a skip network leaves out by chance, others in each step; used by skip-network alone.",
    )
    input_noise: float = Field(
        0.03,
        ge=0,
        le=10,
        description="Standard deviation of the noise added to the latent afresh in each step; the latent lies in [0, 0.1]. "
        "Used by skip-network alone.",
    )
    recorruption: float = Field(
        0.5,
        gt=0,
        le=10,
        description="Noise added to the input of a guided network in its first steps, in standard deviations of the image's noise; more "
        "is steadier, and hides more of the image. Used by guided-network alone.",
    )
    guide_step: int = Field(
        200,
        ge=1,
        le=10_000_000,
        description="Step from which on a guided network draws from its own image instead of the noisy one. Used by guided-network alone.",
    )
    guide_noise: float = Field(
        1.25,
        ge=0,
        le=10,
        description="Noise added to the input of a guided network from then on, in standard deviations of the image's noise; more "
        "suits sparse images, less suits texture. Used by guided-network alone.",
    )
    order: Literal["relu-norm", "norm-relu"] = Field(
        "norm-relu", description="Order of ReLU and channel norm: relu-norm (the paper's formula) or norm-relu."
    )
    output_map: Literal["sigmoid", "linear"] = Field(
        "sigmoid", description="Output range map: sigmoid (bounded, as in the paper's code) or linear."
    )
    extra_layer: Literal["none", "first", "last"] = Field(
        "none",
        description="Where one more hidden layer is, without upsampling, that the authors' code has and the formula has not: first, on the "
        "coarsest grid, or last, on the image's; used by deep-decoder alone.",
    )
    padding: Literal["zeros", "reflection"] = Field(
        "zeros",
        description="What the 3×3 convolutions see beyond the edges: zeros, or the image reflected; used by skip-network and "
        "guided-network.",
    )
    norm_init: Literal["ones", "uniform"] = Field(
        "ones",
        description="Initial scale of the channel norm: ones, or uniform in [0, 1] as when the paper was written.",
    )
    kernel: Literal["linear", "smooth"] = Field(
        "smooth", description="Upsampling kernel: linear (1, 3, 3, 1)/4 or smooth (1, 5, 10, 10, 5, 1)/16."
    )

    @property
    def draws_from_image(self) -> bool:
        """Whether the noisy image is part of the generator's input, so that it depends on more than its parameters."""
        return self.kind == "guided-network"


class OptimizerConfig(_Model):
    """How the generator's weights are moved."""

    method: Literal["adam", "gradient-descent", "momentum"] = Field(
        "adam", description="adam, gradient-descent, or momentum (gradient descent with heavy-ball momentum)."
    )
    learning_rate: float = Field(
        0.02,
        gt=0,
        description="Step size on the mean squared error of the scaled image; 0.02 suits adam and a deep decoder, 0.01 or less "
        "the other generators, 0.1 the other methods.",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum; used by the method momentum alone.")


class StoppingConfig(_Model):
    """When the fit ends, and which step is kept."""

    rule: Literal[
        "auto",
        "fixed",
        "held-out",
        "sure",
        "coupled",
        "discrepancy",
        "whiteness",
        "agreement",
        "linearized",
        "windowed-variance",
        "running-variance",
    ] = Field(
        "auto",
        description="auto: pixels left out of the fit decide, and the rules that cost nothing vote beside them; "
        "fixed keeps the last step; every other rule alone, by its name.",
    )
    held_out_fraction: float = Field(
        0.1, gt=0, lt=0.9, description="Share of the pixels that held-out leaves out of the fit."
    )
    held_out_size: Literal["auto"] | Annotated[int, Ge(1)] = Field(
        "auto",
        description="Side in pixels of the squares left out; auto takes 1 unless the noise of neighbors is alike.",
    )
    patience: float = Field(
        0.4,
        ge=0,
        description="A rule ends the fit once the best step lies this many times its own number back.",
    )
    min_patience: int = Field(100, ge=0, description="Steps that a rule waits beyond the relative patience.")


class NoiseConfig(_Model):
    """What is known of the noise; what is auto is estimated from the image."""

    kind: Literal["auto", "gaussian", "poisson-gaussian", "rician", "none"] = Field(
        "auto",
        description="gaussian (the same everywhere), poisson-gaussian (photons and read noise), rician (magnitude images); "
        "none fits the image as it is.",
    )
    sigma: Literal["auto"] | Annotated[float, Ge(0)] = Field(
        "auto",
        description="Standard deviation in the image's units; of the read noise if there are photons, of each complex part if rician.",
    )
    gain: Literal["auto"] | Annotated[float, Gt(0)] = Field(
        "auto", description="Image units per photon; used by poisson-gaussian alone."
    )
    offset: Literal["auto"] | float = Field(
        "auto", description="Value of a pixel without photons; used by poisson-gaussian alone."
    )
    correlation_length: Literal["auto"] | Annotated[int, Ge(1)] = Field(
        "auto",
        description="Distance in pixels from which on the noise of two pixels is independent; 1 for white noise.",
    )
    is_shared: Literal["auto", "yes", "no"] = Field(
        "auto", description="Whether all channels have the very same noise; then only their mean is fitted."
    )
    has_impulses: Literal["auto", "yes", "no"] = Field(
        "auto", description="Whether single pixels (salt and pepper, hot pixels) are left out of the fit and filled in."
    )


class Config(_Model):
    """Everything that decides what a run does."""

    n_steps: int = Field(
        1000, ge=1, le=10_000_000, description="Steps at most; the stopping rule may end the fit sooner."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of the generators' starts and of the held-out pixels.")
    n_seeds: int = Field(
        2,
        ge=1,
        le=64,
        description="Generators with different starts that are fitted together. Their mean is the image, and how much they differ "
        "tells where it is uncertain.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto (CUDA, then MPS, then CPU), cpu, mps, cuda or cuda:N.",
    )
    n_threads: Literal["auto"] | Annotated[int, Ge(1)] = Field(
        "auto",
        description="Threads of a fit on the CPU; auto takes all cores, and leaves one to an open window. "
        "The last bits of the result depend on it.",
    )
    backend: Literal["auto", "numba", "triton", "torch"] = Field(
        "auto",
        description="What computes the generator: numba (CPU; of networks with learned convolutions the norms, not in volumes), "
        "triton (CUDA; a deep decoder alone), torch (anywhere; slower, a deep decoder several times); auto takes the fastest.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of a deep decoder's matrix products, or of the other networks' hidden layers; bfloat16 is faster where the "
        "hardware has it, and less exact. Weights, moments and the image are float32.",
    )
    output: Literal["average", "iterate"] = Field(
        "average", description="The image that is kept: the running average of the outputs, or the raw iterate."
    )
    averaging: float = Field(
        0.08,
        ge=0,
        le=1,
        description="The running average reaches back over about this share of the steps so far.",
    )
    z_axis: Literal["frames", "volume"] = Field(
        "frames", description="A Z axis is fitted slice by slice (frames) or with a 3-D generator (volume)."
    )
    n_restarts: int = Field(
        2, ge=0, le=100, description="Fresh starts with another seed that a diverged or collapsed fit is given."
    )
    snapshot_memory: float = Field(
        1024, gt=0, description="Memory for snapshots, in MiB; beyond it every second one is let go."
    )
    generator: GeneratorConfig = GeneratorConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    stopping: StoppingConfig = StoppingConfig()
    noise: NoiseConfig = NoiseConfig()

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some settings changed.

        Parameters
        ----------
        changes
            New values by dotted name, for example ``{"seed": 3, "generator.n_channels": 128}``. Text is read as a number
            or truth value where the setting is one.

        Raises
        ------
        ConfigError
            A setting that does not exist or a value out of its range.
        """
        values = self.model_dump()
        for name, value in changes.items():
            *path, last = name.split(".")
            group: Any = values
            for part in path:
                group = group.get(part) if isinstance(group, dict) else None
            if not isinstance(group, dict) or last not in group or isinstance(group[last], dict):
                raise ConfigError(_unknown_setting(name))
            group[last] = value
        return self._validated(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a configuration from nested values; what is missing is taken from ``values["preset"]``, or ``default``.

        Raises
        ------
        ConfigError
            A setting or preset that does not exist or a value out of its range.
        """
        values = dict(values)
        base = preset(values.pop("preset", "default"))
        return cls._validated(base.replace(_flatten(values)).model_dump())

    @classmethod
    def from_toml(cls, text: str, source: str = "the configuration") -> Self:
        """Read the form that `to_toml` writes; ``source`` names the text in errors."""
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{source} is not valid TOML: {error}.") from error

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a TOML file as `to_toml` writes it, or the ``config`` of a JSON report.

        Raises
        ------
        ConfigError
            A file that cannot be read, or content that is no configuration.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"The configuration {path} cannot be read: {error}.") from error
        if path.suffix.lower() != ".json":
            return cls.from_toml(text, str(path))
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{path} is not valid JSON: {error}.") from error
        if isinstance(values, dict):
            values = values.get("config", values)
        if not isinstance(values, dict):
            raise ConfigError(f"{path} must hold a JSON object: a report of a run, or its config.")
        return cls.from_dict(values)

    def to_toml(self) -> str:
        """Return the configuration as TOML, a comment over each setting."""
        lines, tables = [], []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, _Model):
                tables.append(f"\n# {value.__doc__}\n[{name}]")
                tables += _toml_settings(value)
            else:
                lines.append(_toml_setting(name, field.description, value))
        return "\n".join([*lines, *tables]) + "\n"

    @classmethod
    def _validated(cls, values: Mapping[str, Any]) -> Self:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            # The path of a union ends with the name of the branch tried; a setting's name is its part that we know.
            name = ".".join(
                str(part) for part in first["loc"] if str(part).isidentifier() and part not in {"int", "float"}
            )
            message = first["msg"]
            if first["type"] == "literal_error" and name in AUTO_OR_NUMBER:
                message = f"Input should be 'auto' or {AUTO_OR_NUMBER[name]}"
            raise ConfigError(f"{name} cannot be {first['input']!r}: {message[0].lower()}{message[1:]}.") from error


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _unknown_setting(name: str) -> str:
    known = list(_flatten(Config().model_dump()))
    close = difflib.get_close_matches(name, known, 1) or [k for k in known if k.endswith("." + name)]
    hint = f"Did you mean '{close[0]}'?" if close else f"The settings are {', '.join(known)}."
    return f"There is no setting '{name}'. {hint}"


def _toml_settings(model: _Model) -> list[str]:
    return [
        _toml_setting(name, field.description, getattr(model, name)) for name, field in type(model).model_fields.items()
    ]


def _toml_setting(name: str, comment: str | None, value: str | float | bool) -> str:
    # JSON's text, numbers and truth values are TOML's too.
    return f"# {comment}\n{name} = {json.dumps(value)}"


_PUBLISHED = Config().replace(
    {
        "output": "iterate",
        "n_seeds": 1,
        "stopping.rule": "fixed",
        "noise.kind": "none",
        "generator.n_scales": 5,
        "generator.kernel": "linear",
        "optimizer.learning_rate": 0.01,
    }
)
_PAPER = _PUBLISHED.replace(
    {
        "generator.order": "relu-norm",
        "generator.extra_layer": "last",
    }
)

PRESETS: dict[str, Config] = {
    "default": Config(),
    "best": Config().replace(
        {
            "generator.kind": "guided-network",
            "generator.kernel": "linear",
            "optimizer.learning_rate": 0.006,
            "precision": "bfloat16",
            "averaging": 0.16,
            "stopping.min_patience": 300,
            "n_steps": 2000,
        }
    ),
    "paper": _PAPER.replace({"generator.n_channels": 512, "n_steps": 1500}),
    "paper-narrow": _PAPER.replace({"generator.n_channels": 128, "generator.extra_layer": "first", "n_steps": 3000}),
    "deep-image-prior": _PUBLISHED.replace(
        {
            "generator.kind": "skip-network",
            "generator.n_channels": 128,
            "generator.n_fine_channels": 128,
            "generator.padding": "reflection",
            "generator.input_noise": 0.7 / 30,
            "n_steps": 1900,
        }
    ),
}
"""Ready configurations by name: ``default`` takes seconds and ``best`` minutes; ``paper`` and ``paper-narrow`` are the over- and
the under-parameterized decoder of the paper, ``deep-image-prior`` the skip network that it compares them with."""


def fixed_input_presets() -> tuple[str, ...]:
    """Return the presets whose generator draws from a latent alone."""
    return tuple(name for name, config in PRESETS.items() if not config.generator.draws_from_image)


def preset(name: str) -> Config:
    """Return a preset by name.

    Raises
    ------
    ConfigError
        No preset has that name.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}. The presets are {', '.join(PRESETS)}.")
    return PRESETS[name]
