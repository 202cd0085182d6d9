"""Nets of the paper, and their fits to an image."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from napari_convgen.config import (
    AdamConfig,
    Config,
    ConvolutionalConfig,
    GeneratorConfig,
    MomentumConfig,
    OptimizerConfig,
    preset,
)
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators import Generator
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import GeneratorUnits, SnapshotStore
from napari_convgen.core.stopping import FixedStep
from napari_convgen.reproduction.images import Values
from napari_convgen.reproduction.study import Setting
from napari_convgen.run.setup.backends import resolve_generator_backend
from napari_convgen.run.setup.build import (
    build_generator,
    build_optimizer,
    resolve_scales,
)

ADAM = AdamConfig(learning_rate=0.01)
MOMENTUM = MomentumConfig(learning_rate=0.1, momentum=0.9)
"""The two optimizers of the authors' code. The text calls the second one gradient descent."""

Convolution = Literal["fixed", "learned", "transposed"]

NORM_INIT: Literal["uniform"] = "uniform"
"""Initial scales of the channel norm in PyTorch when the paper was written."""

NORM_NOTE = "The scales of the channel norm start uniform in [0, 1], as in the PyTorch of the paper's time, which its numbers depend on."


@dataclass(frozen=True)
class Net:
    """Settings of a net of the paper, which is built for the size of an image.

    Attributes
    ----------
    settings
        Settings of the generator, as in a configuration.
    backend
        Name of what computes it; ``"auto"`` takes the fastest that is installed.
    """

    settings: GeneratorConfig
    backend: Literal["auto", "torch"] = "auto"

    def build(self, size: Sequence[int], n_outputs: int, seed: int, device: torch.device) -> Generator:
        """Build the net at its start.

        Parameters
        ----------
        size
            Rows and columns of the image.
        n_outputs
            Channels of the image.
        seed
            Seed of weights and latent.
        device
            Device of the net.
        """
        config = Config(generator=self.settings, backend=self.backend)
        backend = resolve_generator_backend(config, device, len(size))
        n_scales = resolve_scales(config, size)
        return build_generator(config, size, n_outputs, n_scales, [0], seed, backend).to(device)


def decoder(n_channels: int, n_scales: int, **changes: str) -> Net:
    """Return the paper's deep decoder.

    Parameters
    ----------
    n_channels, n_scales
        Channels and scales.
    changes
        Settings that differ from those of the preset ``paper``.
    """
    own = {"n_channels": n_channels, "n_scales": n_scales, "norm_init": NORM_INIT} | changes
    return Net(_changed(preset("paper"), own))


def skip_network(n_channels: int, n_scales: int, input_noise: float) -> Net:
    """Return the net of the deep image prior, with the same width on all scales; PyTorch computes it, as the authors'.

    Parameters
    ----------
    n_channels, n_scales
        Channels and scales.
    input_noise
        Standard deviation of the noise that is added to the latent in each step.
    """
    widths = {"n_channels": n_channels, "n_fine_channels": n_channels}
    own = widths | {"n_scales": n_scales, "input_noise": input_noise}
    return Net(_changed(preset("deep-image-prior"), own), backend="torch")


def convolutional(convolution: Convolution, n_layers: int, n_channels: int) -> Net:
    """Return a net of the paper's appendix B.

    Parameters
    ----------
    convolution
        Kind of its convolutions.
    n_layers, n_channels
        Hidden layers, and channels of each.
    """
    return Net(
        ConvolutionalConfig(convolution=convolution, n_channels=n_channels, n_layers=n_layers, norm_init=NORM_INIT)
    )


def _changed(config: Config, changes: Mapping[str, Any]) -> GeneratorConfig:
    """Return the generator's settings of a configuration, some of them changed."""
    return config.replace({f"generator.{name}": value for name, value in changes.items()}).generator


def count_parameters(net: Net, n_outputs: int) -> int:
    """Return the number of parameters of a net, which does not depend on the size of its image."""
    return sum(p.numel() for p in net.build((64, 64), n_outputs, 0, torch.device("cpu")).parameters())


@dataclass(frozen=True, eq=False)
class Trace:
    """Course of a fit.

    Attributes
    ----------
    steps
        Steps at which the rest was recorded, at equal distances on a logarithmic axis.
    losses
        Mean squared errors to the target.
    errors
        Mean squared errors to the clean image; empty without one.
    distances
        Distance of the weights from their start over the norm of the start, ``(layers, steps)``; layers without convolutions are left out.
    half_step
        First of all steps with at most half the loss of the first one; ``None`` if there is none.
    best, last
        Images with the smallest error and after the last step, 8 bits deep. Without a clean image, both are the last one.
    final_error
        Mean squared error of ``last`` to the clean image, not rounded to 8 bits; NaN without one.
    """

    steps: Sequence[int]
    losses: Sequence[float]
    errors: Sequence[float]
    distances: Sequence[Sequence[float]]
    half_step: int | None
    best: Values
    last: Values
    final_error: float

    @property
    def best_step(self) -> int:
        """The step with the least error."""
        return self.steps[int(np.argmin(self.errors))]


def first_step_below(trace: Trace, loss: float) -> int | None:
    """Return the first recorded step that has at most that loss, if there is one."""
    return next((step for step, value in zip(trace.steps, trace.losses, strict=True) if value <= loss), None)


class Fits:
    """Fits of a study, one after the other; fits that were kept in an earlier run are not made again.

    Parameters
    ----------
    setting
        Setting of the study.
    n
        Number of fits in the study, for the progress.
    """

    def __init__(self, setting: Setting, n: int) -> None:
        self.setting, self.n, self.n_done = setting, n, 0

    def __call__(
        self,
        what: str,
        net: Net,
        target: Values,
        optimizer: OptimizerConfig,
        n_steps: int,
        *,
        seed: int = 0,
        clean: Values | None = None,
    ) -> Trace:
        """Fit a net.

        Parameters
        ----------
        what
            Description of the fit, for the progress.
        net
            Net that is built for the target's size.
        target
            Image that is fitted.
        optimizer
            Settings of the optimizer.
        n_steps
            Number of steps.
        seed
            Seed of the net's start.
        clean
            Clean image that the output of each recorded step is compared with; by default there is none.
        """
        key = {
            "net": net.settings.model_dump(),
            "target": digest(target),
            "clean": None if clean is None else digest(clean),
            "optimizer": optimizer.model_dump(),
            "n_steps": n_steps,
            "seed": seed,
        }
        kept = self.setting.keep(key, lambda: self._fit(what, net, target, optimizer, n_steps, seed, clean))
        self.n_done += 1
        images = {name: unpacked(kept[name], target.shape) for name in ("best", "last")}
        return Trace(**(kept | images))

    def _fit(
        self,
        what: str,
        net: Net,
        target: Values,
        optimizer: OptimizerConfig,
        n_steps: int,
        seed: int,
        clean: Values | None,
    ) -> dict[str, Any]:
        device = self.setting.device
        generator = net.build(target.shape[1:], len(target), seed, device)
        fit = _new_fit(generator, _tensor(target, device), optimizer, n_steps)
        truth = None if clean is None else _tensor(clean, device)
        layers = [p for p in generator.parameters() if p.ndim > 2]
        starts = [p.detach().clone() for p in layers]
        steps, errors, distances = [], [], []
        best = torch.zeros_like(fit.problem.measurement)
        for iterate in fit:
            if not iterate.is_snapshot:
                continue
            self.setting.report_progress(
                f"{what}, step {iterate.step}", (self.n_done + iterate.step / n_steps) / self.n
            )
            steps.append(iterate.step)
            distances.append([_relative_distance(p, start) for p, start in zip(layers, starts, strict=True)])
            if truth is not None:
                errors.append(_mean_square(iterate.output - truth))
                if errors[-1] == min(errors):
                    best.copy_(iterate.output)
        with torch.no_grad():
            last = generator.eval()()[0]
        losses = fit.curves.loss
        half = (step for step, loss in enumerate(losses, 1) if loss <= losses[0] / 2)
        return {
            "steps": steps,
            "losses": [losses[step - 1] for step in steps],
            "errors": errors,
            "distances": [list(layer) for layer in zip(*distances, strict=True)],
            "half_step": next(half, None),
            "best": packed((last if truth is None else best).cpu().numpy()),
            "last": packed(last.cpu().numpy()),
            "final_error": float("nan") if truth is None else _mean_square(last - truth),
        }


def _new_fit(generator: Generator, target: Tensor, optimizer: OptimizerConfig, n_steps: int) -> Fit:
    """Return a fit that ends after its steps, and keeps as few images as possible."""
    problem, rule = Problem(target, torch.ones_like(target)), FixedStep()
    store = SnapshotStore(0, GeneratorUnits(), "iterate")
    fit = Fit(
        problem,
        generator,
        build_optimizer(Config(optimizer=optimizer), generator),
        rule,
        rule.members(problem, 1, torch.Generator()),
        store,
        n_steps,
    )
    fit.extend(n_steps)
    return fit


def _tensor(image: Values, device: torch.device) -> Tensor:
    return torch.as_tensor(image, dtype=torch.float32).to(device)


def _mean_square(x: Tensor) -> float:
    return float(x.double().square().mean())


def _relative_distance(now: Tensor, start: Tensor) -> float:
    return float((now.detach() - start).norm() / start.norm())


def digest(image: Values) -> str:
    """Return a short text that differs between images."""
    return hashlib.sha256(np.ascontiguousarray(image, np.float32).tobytes()).hexdigest()[:16]


def packed(image: Values) -> str:
    """Return an image as text, rounded to 8 bits."""
    return base64.b64encode(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).tobytes()).decode()


def unpacked(text: str, shape: tuple[int, ...]) -> Values:
    """Return the image of a text that `packed` made."""
    return cast(Values, np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape) / 255)
