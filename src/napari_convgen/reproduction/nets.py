"""Nets of the paper, each fitted to an image, and what is noted on the way."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from napari_convgen.config import Config, OptimizerConfig, preset
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators import ConvolutionalGenerator, DeepDecoder, Generator, SkipNetwork
from napari_convgen.core.generators.fused import fuse
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import GeneratorUnits, SnapshotStore
from napari_convgen.core.stopping import FixedStep
from napari_convgen.reproduction.images import Values
from napari_convgen.reproduction.study import Setting
from napari_convgen.run.setup.build import DECODER_WORDS, SKIP_WORDS, build_optimizer, random_source
from napari_convgen.run.setup.devices import resolve_backend

ADAM = OptimizerConfig(learning_rate=0.01)
MOMENTUM = OptimizerConfig(method="momentum", learning_rate=0.1, momentum=0.9)
"""The two optimizers of the authors' code. The text calls the second one gradient descent."""

NORM_INIT = "uniform"
"""Initial scales of the channel norm in PyTorch when the paper was written."""

NORM_NOTE = "The scales of the channel norm start uniform in [0, 1], as in the PyTorch of the paper's time, which its numbers depend on."


@dataclass(frozen=True)
class Net:
    """An architecture, as words.

    Attributes
    ----------
    kind
        ``"decoder"``, ``"skip"`` or ``"convolutional"``.
    words
        What its class takes beside the size, the output channels and the sources of chance.
    """

    kind: str
    words: Mapping[str, Any]

    def build(self, size: Sequence[int], n_outputs: int, seed: int, device: torch.device) -> Generator:
        """Build a net at its start, on a device, by the fastest means that is installed there."""
        rngs = [random_source(seed, 1)]
        if self.kind == "skip":
            return SkipNetwork(size, n_outputs, rngs=rngs, **self.words).to(device)
        if self.kind == "convolutional":
            return ConvolutionalGenerator(size, n_outputs, rngs=rngs, **self.words).to(device)
        decoder = DeepDecoder(size, n_outputs, rngs=rngs, **self.words).to(device)
        return fuse(decoder, resolve_backend("auto", device))


def decoder(n_channels: int, n_scales: int, **changes: str) -> Net:
    """Return the paper's deep decoder of that width, with other options than those of the preset ``paper`` if there are any."""
    words = preset("paper").generator.model_dump(include=DECODER_WORDS)
    return Net("decoder", words | {"n_channels": n_channels, "n_scales": n_scales, "norm_init": NORM_INIT} | changes)


def skip_network(n_channels: int, n_scales: int, input_noise: float) -> Net:
    """Return the net of the deep image prior, with the same width on all scales."""
    words = preset("deep-image-prior").generator.model_dump(include=SKIP_WORDS)
    widths = {"n_channels": n_channels, "n_fine_channels": n_channels}
    return Net("skip", words | widths | {"n_scales": n_scales, "input_noise": input_noise})


def convolutional(convolution: str, n_channels: int, n_layers: int) -> Net:
    """Return a net of the paper's appendix B."""
    words = {"convolution": convolution, "n_channels": n_channels, "n_layers": n_layers, "norm_init": NORM_INIT}
    return Net("convolutional", words)


def count_parameters(net: Net, n_outputs: int) -> int:
    """Return how many parameters a net has, which does not depend on the size of its image."""
    return sum(p.numel() for p in net.build((64, 64), n_outputs, 0, torch.device("cpu")).parameters())


@dataclass(frozen=True, eq=False)
class Trace:
    """What a fit was like.

    Attributes
    ----------
    steps
        At which the rest was noted, at equal distances on a logarithmic axis.
    losses
        Mean squared errors to what is fitted.
    errors
        Mean squared errors to the clean image; empty without one.
    distances
        For each layer with convolutions, in order, how far its weights had moved at each step, over the norm that they started with.
    half_step
        First step, of all, with at most half the loss of the first one; ``None`` if there is none.
    best, last
        Images with the least error and after the last step, 8 bits deep. Where there is no clean image, both are the last one.
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
    """Return the first step noted that has at most that loss, if there is one."""
    return next((step for step, value in zip(trace.steps, trace.losses, strict=True) if value <= loss), None)


class Fits:
    """Fits of a study, one after the other; what was kept of an earlier run is not fitted again.

    Parameters
    ----------
    setting
        Of the study.
    n
        How many there will be, for the share that is done.
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
            Is told while it goes on.
        net
            Built for the target's size.
        target
            What is fitted.
        optimizer, n_steps
            How, and how long.
        seed
            Of the net's start.
        clean
            What the images on the way are compared with.
        """
        key = {
            "net": [net.kind, dict(net.words)],
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
            self.setting.tell(f"{what}, step {iterate.step}", (self.n_done + iterate.step / n_steps) / self.n)
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
    """A fit that nothing but its steps ends, and that keeps no more images than it must."""
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
    """Return a short text that tells images apart."""
    return hashlib.sha256(np.ascontiguousarray(image, np.float32).tobytes()).hexdigest()[:16]


def packed(image: Values) -> str:
    """Return an image of 8 bits as text."""
    return base64.b64encode(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).tobytes()).decode()


def unpacked(text: str, shape: tuple[int, ...]) -> Values:
    """Return the image of a text."""
    return cast(Values, np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape) / 255)
