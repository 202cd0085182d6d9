"""Ready configurations by name."""

from __future__ import annotations

from napari_convgen.config.config import Config
from napari_convgen.errors import ConfigError

_PUBLISHED = {
    "output": "iterate",
    "n_seeds": 1,
    "stopping.kind": "fixed",
    "noise.kind": "none",
    "generator.n_scales": 5,
    "generator.kernel": "linear",
    "optimizer.learning_rate": 0.01,
}
_PAPER = Config().replace({**_PUBLISHED, "generator.order": "relu-norm"})

_GUIDED = Config().replace(
    {
        "generator.kind": "guided-network",
        "generator.guide": "non-local",
        "generator.guide_noise": 0.5,
        "generator.kernel": "linear",
        "averaging": 0.16,
    }
)

_TAUGHT = Config().replace(
    {
        "generator.kind": "taught-network",
        "optimizer.learning_rate": 0.002,
        "precision": "auto",
        "averaging": 0.16,
    }
)

PRESETS: dict[str, Config] = {
    "default": _TAUGHT.replace({"n_steps": 30}),
    "quick": _GUIDED.replace({"generator.network_share": 0.0, "n_seeds": 1, "stopping.kind": "fixed", "n_steps": 1}),
    "best": _TAUGHT.replace({"n_steps": 120}),
    "guided-network": Config().replace(
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
    "deep-decoder": Config(),
    "paper": _PAPER.replace({"generator.n_channels": 512, "generator.extra_layer": "last", "n_steps": 1500}),
    "paper-narrow": _PAPER.replace({"generator.n_channels": 128, "generator.extra_layer": "first", "n_steps": 3000}),
    "deep-image-prior": Config().replace(
        {
            **_PUBLISHED,
            "generator.kind": "skip-network",
            "generator.n_channels": 128,
            "generator.n_fine_channels": 128,
            "generator.padding": "reflection",
            "generator.input_noise": 0.7 / 30,
            "n_steps": 1900,
        }
    ),
}
"""``default``, ``quick`` and ``best`` begin with the non-local estimate, which ``quick`` leaves as it is. The others fit a generator alone:
``guided-network`` one that takes minutes, ``deep-decoder`` one that was chosen for microscopy, ``paper`` and ``paper-narrow`` the over- and
the under-parameterized decoder of the paper, ``deep-image-prior`` the skip network that it compares them with."""

PRESET_USES = {
    "default": "For any image of cells, tissue or a scan: a network learns from the non-local estimate, seconds to a minute.",
    "quick": "For a first look, and for many or large images: the non-local estimate alone, within seconds.",
    "best": "For the image that matters: the same with four times as many lessons, about a minute.",
    "guided-network": "For photographs and fine texture, if minutes do not matter: a network that is fitted for long.",
    "deep-decoder": "To study how a generator fits an image, and for microscopy without similar patches: about a minute.",
    "paper": "To repeat the paper's over-parameterized decoder; long on a CPU.",
    "paper-narrow": "To repeat the paper's under-parameterized decoder; long on a CPU.",
    "deep-image-prior": "To compare with the deep image prior; very long on a CPU.",
}
"""Purpose of each preset, for tooltips."""

_FITTED = _GUIDED.replace({"generator.n_channels": 32, "generator.n_scales": 3, "optimizer.learning_rate": 0.012})

MIXED_STEPS: dict[str, int] = {"sense": 800}
"""Steps of a network that is mixed into a reconstruction, by the problem. With the 30 of a preset nothing of it is mixed into a scan; later
ones gain 0.2 to 0.5 dB where whole rows are left out, and nothing from about 900 on. Chosen on heads 90 to 92 at 96 × 80 points, scanned as
in ``benchmarks/inverse.py mri``."""

ALONE_STEPS: dict[str, dict[str, int]] = {"sense": {"deep-decoder": 2000}}
"""Steps of presets that fit a generator alone, by the problem and the name: a scan, which still gets better after 1000 steps, gains 1.1 dB.
Later ones gain more, 0.7 dB at 3000 on head 90, but take half as long again."""

GENERATOR_ALONE = "deep-decoder"
"""Preset from which verbs begin that look at a generator and not at its image."""


def fixed_input_presets() -> dict[str, Config]:
    """Return the presets whose generator draws from a latent alone, by name."""
    return {name: config for name, config in PRESETS.items() if not config.generator.draws_from_image}


def for_reconstruction(config: Config, problem: str) -> Config:
    """Return a configuration whose generator is fitted to the measurement, where that of a preset learns from an estimate alone.

    Lessons of such a preset become as many steps of the fit; of a problem in `MIXED_STEPS`, as many as are there.

    Raises
    ------
    ConfigError
        Settings of a generator that learns from an estimate are changed: they would be lost.
    """
    if not config.generator.learns_from_guide:
        return config
    if all((config.generator, config.optimizer) != (each.generator, each.optimizer) for each in PRESETS.values()):
        raise ConfigError(
            f"generator.kind = {config.generator.kind!r} learns from an estimate of the image alone. A reconstruction fits a guided "
            "network to the measurement instead, so that changed settings of generator and optimizer would be lost. Choose "
            "generator.kind = 'guided-network' and change its settings."
        )
    fitted = {"generator": _FITTED.generator, "optimizer": _FITTED.optimizer}
    precision = _FITTED.precision if config.precision == _TAUGHT.precision else config.precision
    lessons = {each.n_steps for each in PRESETS.values() if each.generator.learns_from_guide}
    n_steps = MIXED_STEPS.get(problem, config.n_steps) if config.n_steps in lessons else config.n_steps
    return config.model_copy(update={**fitted, "precision": precision, "n_steps": n_steps})


def presets_for(problem: str) -> dict[str, Config]:
    """Return the presets as a reconstruction begins with them, by name."""
    alone = ALONE_STEPS.get(problem, {})
    presets = {name: for_reconstruction(config, problem) for name, config in PRESETS.items()}
    return {name: config.replace({"n_steps": alone.get(name, config.n_steps)}) for name, config in presets.items()}


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
