"""What the models of the settings have in common: frozen, without unknown names, and told apart by their kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

Auto = Literal["auto"]


class Settings(BaseModel):
    """Settings that cannot be changed, only replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Kind(Settings):
    """Settings of one of several kinds of a thing; the first line of its docstring says what the kind is.

    Attributes
    ----------
    used_with
        Settings that have an effect only with some values of another one: its name, and these values, by the name of the setting; none by
        default.
    kind
        Name of the kind; each subclass has one of its own.
    """

    used_with: ClassVar[Mapping[str, tuple[str, Collection[str]]]] = {}

    kind: str

    @classmethod
    def unused(cls, values: Mapping[str, Any]) -> list[str]:
        """Return the names of values that are not the defaults and have no effect beside the others."""
        chosen = {name: field.default for name, field in cls.model_fields.items()} | dict(values)
        return [
            name
            for name, (other, others) in cls.used_with.items()
            if chosen[name] != cls.model_fields[name].default and chosen[other] not in others
        ]

    @model_validator(mode="after")
    def _check_effects(self) -> Self:
        """Refuse a value that would have no effect."""
        for name in self.unused(dict(self)):
            other, others = self.used_with[name]
            raise ValueError(
                f"{name} = {getattr(self, name)!r} has no effect with {other} = {getattr(self, other)!r}, only with "
                f"{' or '.join(map(repr, others))}. Leave it at {type(self).model_fields[name].default!r}, or choose another {other}."
            )
        return self


def kinds_of(union: Any) -> dict[str, type[Kind]]:
    """Return the models of a union, or a single model, by the name of their kind."""
    models: tuple[type[Kind], ...] = get_args(union) or (union,)
    return {model.model_fields["kind"].default: model for model in models}


def discriminator_of(union: Any) -> Literal["kind"] | None:
    """Return the field that tells the models of a union apart; ``None`` for a single model, which needs none."""
    return "kind" if get_args(union) else None


def summary_of(model: type[Settings]) -> str:
    """Return the first line of a model's docstring, without its period."""
    return (model.__doc__ or "").strip().splitlines()[0].rstrip(".")


def shared_values(settings: Kind, model: type[Kind]) -> Mapping[str, Any]:
    """Return the values that a model of another kind can take over: it has the setting, and the value is within its range."""
    values = {name: value for name, value in settings if name != "kind" and name in model.model_fields}
    return {name: value for name, value in values.items() if _is_allowed(model, name, value)}


def _is_allowed(model: type[Kind], name: str, value: Any) -> bool:
    try:
        model.model_validate({name: value})
    except ValidationError as error:
        return not any(each["loc"] for each in error.errors())  # else it is refused beside the defaults of the others
    return True
