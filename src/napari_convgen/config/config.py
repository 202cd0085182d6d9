"""The configuration of a whole run.

A configuration is complete: with the same image, version and device it reproduces a run.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from annotated_types import Ge
from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from napari_convgen.config.base import Auto, Kind, Settings, discriminator_of, kinds_of, shared_values, summary_of
from napari_convgen.config.fields import Numbers, words_beside
from napari_convgen.config.files import read_toml, read_values, write_toml
from napari_convgen.config.frames import FramesConfig
from napari_convgen.config.generators import DeepDecoderConfig, GeneratorConfig
from napari_convgen.config.noise import AutoNoiseConfig, NoiseConfig
from napari_convgen.config.operators import IdentityConfig, OperatorConfig
from napari_convgen.config.optimizer import AdamConfig, OptimizerConfig
from napari_convgen.config.stopping import AutoStopConfig, StoppingConfig
from napari_convgen.config.tiles import TilesConfig
from napari_convgen.errors import ConfigError

T = TypeVar("T", bound=Settings)


class Config(Settings):
    """Everything that decides what a run does."""

    n_steps: int = Field(
        1000,
        ge=1,
        le=10_000_000,
        title="Steps at most",
        description="Largest number of steps; the stopping rule may end the fit sooner.",
    )
    seed: int = Field(
        0, ge=0, lt=2**63, title="Seed", description="Seed of the generators' starts and of the held-out pixels."
    )
    n_seeds: int = Field(
        2,
        ge=1,
        le=64,
        title="Seeds",
        description="Number of generators with different starts that are fitted together. Their mean is the image, and their differences "
        "show where it is uncertain.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        title="Device",
        description="Device that computes the fit: cpu, mps, cuda, cuda:N, or auto (CUDA, then MPS, then the CPU).",
    )
    n_threads: Auto | Annotated[int, Ge(1)] = Field(
        "auto",
        title="Threads",
        description="Number of threads of a fit on the CPU; auto takes all cores, and leaves one to an open window. The last bits of the "
        "result depend on it.",
    )
    backend: Literal["auto", "numba", "triton", "torch"] = Field(
        "auto",
        title="Computed by",
        description="Library that computes the generator: numba (on the CPU; a deep decoder, or the norms of a skip or guided network, "
        "not in volumes), triton (on CUDA; a deep decoder), torch (any generator anywhere; slower), or auto (the fastest).",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32",
        title="Precision",
        description="Number format of a deep decoder's matrix products, or of the hidden layers of a skip, guided or taught network; "
        "bfloat16 is faster where the hardware has it, and less exact; auto takes it there. Weights and the image are always float32.",
    )
    output: Literal["average", "iterate"] = Field(
        "average",
        title="Output",
        description="Image that is kept: average (the running average of the generator's images) or iterate (the image of the step alone).",
    )
    averaging: float = Field(
        0.08,
        ge=0,
        le=1,
        title="Averaging share",
        description="Length of the running average, as a share of the number of steps so far.",
    )
    dtype: Literal["auto", "same", "float32"] = Field(
        "auto",
        title="Type of the result",
        description="Type of the denoised values: same (that of the input; integers are rounded), float32, or auto (float32 for integers "
        "with so little noise that rounding can be a large part of the error, except in color; otherwise that of the input).",
    )
    z_axis: Literal["frames", "volume"] = Field(
        "frames",
        title="Z axis is",
        description="Meaning of a Z axis: frames (slices that are fitted one by one) or volume (fitted by a 3-D generator).",
    )
    channels: Literal["auto", "joint", "separate"] = Field(
        "auto",
        title="Channels are",
        description="Way in which the channels of an image are fitted: joint (by one generator), separate (each by its own), or auto "
        "(joint where they show the same structures; joint in color in any case).",
    )
    n_restarts: int = Field(
        2,
        ge=0,
        le=100,
        title="Restarts",
        description="Number of times that a fit that diverged or collapsed is started afresh with another seed.",
    )
    snapshot_memory: float = Field(
        1024,
        gt=0,
        title="Snapshots (MiB)",
        description="Memory for snapshots in MiB; beyond it every second snapshot is dropped.",
    )
    generator: GeneratorConfig = Field(
        DeepDecoderConfig(),
        discriminator=discriminator_of(GeneratorConfig),
        title="Generator",
        description="Generator that is fitted.",
    )
    optimizer: OptimizerConfig = Field(
        AdamConfig(),
        discriminator=discriminator_of(OptimizerConfig),
        title="Optimizer",
        description="Method that changes the generator's weights.",
    )
    stopping: StoppingConfig = Field(
        AutoStopConfig(),
        discriminator=discriminator_of(StoppingConfig),
        title="Stop",
        description="Rule that ends the fit and chooses the step that is kept.",
    )
    noise: NoiseConfig = Field(
        AutoNoiseConfig(),
        discriminator=discriminator_of(NoiseConfig),
        title="Noise",
        description="Model of the noise; what is auto is estimated from the image.",
    )
    operator: OperatorConfig = Field(
        IdentityConfig(),
        discriminator=discriminator_of(OperatorConfig),
        title="Operator",
        description="Forward operator from the image to what is measured.",
    )
    tiles: TilesConfig = TilesConfig()

    frames: FramesConfig = Field(
        FramesConfig(), title="Frames", description="Way in which the frames of a stack are denoised."
    )

    def has(self, name: str) -> bool:
        """Tell whether there is a setting of that dotted name, the kinds being what they are."""
        group, dot, rest = name.partition(".")
        if group not in GROUPS | TABLES:
            return not dot and name in Config.model_fields
        return bool(dot) and rest in type(getattr(self, group)).model_fields

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some settings changed.

        Where a kind changes, the settings that the new kind has too stay as they are, and the others take their defaults; so do settings
        that have no effect any longer.

        Parameters
        ----------
        changes
            New values by dotted name, for example ``{"seed": 3, "generator.n_channels": 128}``. Text is read as a number where the setting
            is one.

        Raises
        ------
        ConfigError
            A setting that does not exist, not for this kind, or without an effect, or a value out of its range.
        """
        own: dict[str, Any] = {}
        by_group: dict[str, dict[str, Any]] = {}
        parts = GROUPS | TABLES
        for name, value in changes.items():
            group, dot, rest = name.partition(".")
            if dot and group in parts:
                by_group.setdefault(group, {})[rest] = value
            elif not dot and name in Config.model_fields and name not in parts:
                own[name] = value
            else:
                raise ConfigError(_unknown_setting(name))
        groups = {group: _replaced(group, getattr(self, group), changed) for group, changed in by_group.items()}
        return _validated(type(self), dict(self) | own | groups)

    def value(self, name: str) -> Any:
        """Return a setting by its dotted name."""
        return functools.reduce(getattr, name.split("."), self)

    def changes_from(self, other: Config) -> dict[str, Any]:
        """Return what is to be changed in another configuration to get this one, by dotted name, for `replace`."""
        kinds = {f"{group}.kind" for group in GROUPS}
        changes = {name: self.value(name) for name in sorted(kinds) if self.value(name) != other.value(name)}
        start = other.replace(changes)
        names = (name for name in setting_fields() if self.has(name) and name not in kinds)
        return changes | {name: self.value(name) for name in names if self.value(name) != start.value(name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Build a configuration from nested values; what is missing is taken from ``values["preset"]``, or ``default``.

        Raises
        ------
        ConfigError
            A setting or preset that does not exist or a value out of its range.
        """
        from napari_convgen.config.presets import preset  # presets are configurations

        values = dict(values)
        return preset(values.pop("preset", "default")).replace(_flatten(values))

    @classmethod
    def from_toml(cls, text: str, source: str = "the configuration") -> Config:
        """Read the form that `to_toml` writes; ``source`` names the text in errors."""
        return cls.from_dict(read_toml(text, source))

    @classmethod
    def from_file(cls, path: str | Path) -> Config:
        """Read a TOML file as `to_toml` writes it, or the ``config`` of a JSON report.

        Raises
        ------
        ConfigError
            A file that cannot be read, or content that is no configuration.
        """
        return cls.from_dict(read_values(Path(path)))

    def to_toml(self) -> str:
        """Return the configuration as TOML, a comment over each setting."""
        return write_toml(self, setting_fields())


GROUPS: dict[str, Mapping[str, type[Kind]]] = {
    name: kinds_of(field.annotation) for name, field in Config.model_fields.items() if isinstance(field.default, Kind)
}
"""Settings that are models of their own, by the name of their kind."""

TABLES: dict[str, type[Settings]] = {
    name: type(field.default)
    for name, field in Config.model_fields.items()
    if isinstance(field.default, Settings) and name not in GROUPS
}
"""Settings that are models of their own, without kinds."""


def setting_fields() -> Mapping[str, Mapping[str, FieldInfo]]:
    """Return every setting by its dotted name: for each kind that has it, its field; under ``""`` for a setting without kinds.

    The setting ``GROUP.kind`` is a choice among the kinds, each of which its description explains.
    """
    fields: dict[str, dict[str, FieldInfo]] = {
        name: {"": field} for name, field in Config.model_fields.items() if name not in GROUPS | TABLES
    }
    for group, kinds in GROUPS.items():
        fields[f"{group}.kind"] = {"": _kind_field(Config.model_fields[group], kinds)}
        for kind, model in kinds.items():
            for name, field in model.model_fields.items():
                if name != "kind":
                    fields.setdefault(f"{group}.{name}", {})[kind] = field
    for table, settings in TABLES.items():
        fields |= {f"{table}.{name}": {"": field} for name, field in settings.model_fields.items()}
    return fields


def _kind_field(group: FieldInfo, kinds: Mapping[str, type[Kind]]) -> FieldInfo:
    explained = " ".join(f"{kind}: {summary_of(model)}." for kind, model in kinds.items())
    return FieldInfo(
        annotation=Literal[tuple(kinds)],  # type: ignore[arg-type]
        default=group.default.kind,
        title=group.title,
        description=f"{group.description} {explained}",
    )


def _replaced(group: str, settings: Settings, changes: Mapping[str, Any]) -> Settings:
    if not isinstance(settings, Kind):
        return _replaced_values(group, settings, changes)
    kinds, kind = GROUPS[group], changes.get("kind", settings.kind)
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError(f"{group}.kind cannot be {kind!r}: input should be {_either(list(map(repr, kinds)))}.")
    model = kinds[kind]
    for name in changes:
        if name not in model.model_fields:
            raise ConfigError(_missing_setting(group, name, kind))
    kept = dict(settings) if isinstance(settings, model) else dict(shared_values(settings, model))
    values = kept | dict(changes)
    idle = set(model.unused(values)).difference(changes)
    return _validated(model, {name: value for name, value in values.items() if name not in idle}, f"{group}.")


def _replaced_values(table: str, settings: Settings, changes: Mapping[str, Any]) -> Settings:
    model = type(settings)
    for name in changes:
        if name not in model.model_fields:
            raise ConfigError(_unknown_setting(f"{table}.{name}"))
    return _validated(model, dict(settings) | dict(changes), f"{table}.")


def _validated(model: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # the values do not belong together
            raise ConfigError(f"{prefix}{first['ctx']['error']}") from error
        name = str(first["loc"][0])
        field, message = model.model_fields[name], first["msg"]
        if words := words_beside(field):
            message = f"Input should be {', '.join(map(repr, words))} or {Numbers.of(field)}"
        described = f" {field.description}" if field.description else ""
        refused = f"{prefix}{name} cannot be {values[name]!r}"
        raise ConfigError(f"{refused}: {message[0].lower()}{message[1:]}.{described}") from error


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _missing_setting(group: str, name: str, kind: str) -> str:
    kinds = [repr(k) for k, model in GROUPS[group].items() if name in model.model_fields]
    if not kinds:
        return _unknown_setting(f"{group}.{name}")
    have, which = ("has", "it") if len(kinds) == 1 else ("have", "one of them")
    return f"{group}.{name} is no setting of the kind '{kind}': {_either(kinds, 'and')} {have} it. Choose {which} as {group}.kind."


def _unknown_setting(name: str) -> str:
    known = list(setting_fields())
    group, dot, rest = name.partition(".")
    if dot and group in GROUPS | TABLES:
        known = [each for each in known if each.startswith(f"{group}.")]
        close = [f"{group}.{each}" for each in difflib.get_close_matches(rest, [k.partition(".")[2] for k in known], 1)]
    else:
        close = [k for k in known if k.endswith("." + name)] or difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean '{close[0]}'?" if close else f"The settings are {', '.join(known)}."
    return f"There is no setting '{name}'. {hint}"


def _either(names: list[str], conjunction: str = "or") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {conjunction} {names[-1]}"
