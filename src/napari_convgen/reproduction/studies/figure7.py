"""Figure 7: singular values and left singular vectors of a decoder's Jacobian."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.generators import DeepDecoder, Generator
from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.run.labels import format_share

N = 512
"""Samples of the step that is fitted, as in the authors' notebook."""

MOMENTS = (1, 50, 3500)
"""Steps at which the paper says it looks at the Jacobian; its code takes 75 instead of 50."""

SLIP = "accumulated"
"""Name of the Jacobian of the authors' code."""

SLIP_REASON = (
    "The authors' code never clears the gradient between the rows of the Jacobian, so that its row i is the sum of rows 0 to i. "
    "That sum smooths the singular vectors into sines; the Jacobian's own are mixtures of low frequencies, and some are local."
)

SHOWN_VECTORS = (1, 2, 5, 10)
"""Singular vectors in the picture, counted from one, as in the paper."""

LOW_PASS_RANKS = (10, 20, 40, 64, 100)
"""Numbers of leading vectors whose energy at low frequencies is computed. Our choice."""

N_SINGLE = 20
"""Number of leading vectors of which each one's strongest frequency is computed. Our choice."""

N_STARTS = {True: 24, False: 8}
N_FITS = {True: 8, False: 3}
"""Random starts, and fits: in full and in quick size. Our choice."""

FIT_COST = 8
"""Time of a fit, in times of a start, for the progress."""

SMALLEST_SHOWN = 1e-5
"""Smallest singular value that is shown, over the largest; that of the mean is rounding. Our choice."""

Look = Mapping[str, Any]
"""Numbers on a Jacobian: singular values; a few left singular vectors; the share of the leading vectors' energy at the lowest
frequencies; the share of each vector's energy at its strongest frequency."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Looks at Jacobians.

    Attributes
    ----------
    looks
        Looks by name, at each start and in each fit: ``"step 1"``, ``"accumulated"``, and the later steps.
    fits
        Curves, measurement, last output and looks of each fit.
    """

    looks: Mapping[str, Sequence[Look]]
    fits: Sequence[Mapping[str, Any]]

    def mean(self, name: str, what: str) -> Float[np.ndarray, "..."]:
        """Return the mean of one of the numbers over all looks of a name."""
        average: Float[np.ndarray, "..."] = np.mean([look[what] for look in self.looks[name]], axis=0)
        return average

    def low_pass(self, name: str, rank: int) -> float:
        """Return the mean share of the leading vectors' energy in as many of the lowest functions."""
        return float(self.mean(name, "low_pass")[LOW_PASS_RANKS.index(rank)])


class Figure7(Study[Measured]):
    """Analyze the Jacobian of a one-dimensional decoder, right and as in the authors' code, while it is fitted to a noisy step.

    References
    ----------
    Figure 7.
    """

    def measure(self) -> Measured:
        """Look at the Jacobian at several starts and in several fits."""
        is_full, keep = self.setting.is_full, self.setting.keep
        n_starts, n_fits = N_STARTS[is_full], N_FITS[is_full]
        total = n_starts + FIT_COST * n_fits
        looks: dict[str, list[Look]] = {}
        for seed in range(n_starts):
            self.setting.report_progress(f"start {seed + 1} of {n_starts}", seed / total)
            for name, look in keep({"study": "fig7", "start": seed}, partial(_look_at_start, seed)).items():
                looks.setdefault(name, []).append(look)
        fits = []
        for seed in range(n_fits):
            self.setting.report_progress(f"fit {seed + 1} of {n_fits}", (n_starts + FIT_COST * seed) / total)
            fits.append(keep({"study": "fig7", "fit": seed}, partial(_fit_step, seed)))
            for name, look in fits[-1]["looks"].items():
                looks.setdefault(name, []).append(look)
        return Measured(looks, fits)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare vectors, values and the course of the fits with the paper's."""
        return [*_about_vectors(measured), *_about_values(measured), _about_fits(measured.fits)]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the spectrum, vectors, their frequencies, and a fit."""
        names = _step_names()
        return [
            _spectrum(measured),
            _vectors("Left singular vectors, step 1", measured.looks[names[0]][0]),
            _vectors(f"The same, step {MOMENTS[-1]}", measured.looks[names[-1]][0]),
            _vectors("The same, gradients accumulated", measured.looks[SLIP][0]),
            Plot(
                "Energy of p vectors in the p lowest frequencies",
                "p",
                "share",
                [Curve(name, np.array(LOW_PASS_RANKS), measured.mean(name, "low_pass")) for name in [*names, SLIP]],
            ),
            Plot(
                "Energy of each vector at its strongest frequency",
                "vector",
                "share",
                [
                    Curve(name, np.arange(1, N_SINGLE + 1), measured.mean(name, "purity"), "dots")
                    for name in (names[0], SLIP)
                ],
            ),
            *_fit_plots(measured.fits[0]),
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the means of all looks, and the fits."""
        jacobians = {
            name: {
                "n": len(each),
                **{what: measured.mean(name, what).tolist() for what in ("singular_values", "low_pass", "purity")},
            }
            for name, each in measured.looks.items()
        }
        return {"jacobians": jacobians, "fits": measured.fits}

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        n_starts, n_fits = N_STARTS[self.setting.is_full], N_FITS[self.setting.is_full]
        return [
            f"Means over {n_starts} starts, and over {n_fits} fits by Adam for the later steps. The Jacobian is that of the hidden "
            "convolutions alone, as in the authors' code, which takes step 75 for 50.",
            "Low-pass shares leave out the mean, which these convolutions cannot move.",
        ]


def _step_names() -> list[str]:
    return [f"step {step}" for step in MOMENTS]


def _about_vectors(measured: Measured) -> list[Claim]:
    at_start = f"step {MOMENTS[0]}"
    purity, slipped = measured.mean(at_start, "purity"), measured.mean(SLIP, "purity")
    low_pass = {name: measured.low_pass(name, 64) for name in _step_names()}
    return [
        Claim(
            "the leading left singular vectors are trigonometric functions",
            f"the first {N_SINGLE} have {format_share(purity.mean())} of their energy at one frequency; "
            f"{format_share(slipped.mean())} with the Jacobian of the authors' code",
            "80 % or more",
            bool(purity.mean() >= 0.8),
            SLIP_REASON,
        ),
        Claim(
            "they are of low frequency",
            f"the lowest 64 trigonometric functions hold {format_share(low_pass[at_start])} of the first 64 vectors' energy, "
            f"{format_share(measured.low_pass(at_start, 10))} of the first 10's hold the lowest 10",
            "64 vectors: 75 % or more",
            low_pass[at_start] >= 0.75,
            "As a space, from as many vectors on as the coarsest grids have samples; one by one they are not.",
        ),
        Claim(
            "they stay so while the net is fitted",
            "of 64 vectors " + ", ".join(f"{format_share(share)} at {name}" for name, share in low_pass.items()),
            "65 % or more at each",
            min(low_pass.values()) >= 0.65,
        ),
    ]


def _about_values(measured: Measured) -> list[Claim]:
    at_start = f"step {MOMENTS[0]}"
    values = measured.mean(at_start, "singular_values")
    summed = [look["singular_values"][0] for look in measured.looks[SLIP]]
    first50 = float(np.mean([_share(look["singular_values"], 50) for look in measured.looks[at_start]]))
    return [
        Claim(
            "a few singular values are large, most are small",
            f"50 of {N} hold {format_share(first50)} of the squared sum; number 1, 100, 400: "
            + ", ".join(f"{values[i - 1]:.3g}" for i in (1, 100, 400)),
            "90 % or more",
            first50 >= 0.9,
        ),
        Claim(
            "the largest singular value, in the authors' code: 26000",
            f"{min(summed):.0f} to {max(summed):.0f} if gradients add up, {values[0]:.0f} if not",
            "it lies in the range",
            min(summed) <= 26_000 <= max(summed),
        ),
    ]


def _about_fits(fits: Sequence[Mapping[str, Any]]) -> Claim:
    loss75 = statistics.median(fit["loss"][74] for fit in fits)
    loss3500 = statistics.median(statistics.median(fit["loss"][-100:]) for fit in fits)  # Adam's loss has spikes
    best = statistics.median(min(fit["error"]) for fit in fits)
    best_step = statistics.median(1 + int(np.argmin(fit["error"])) for fit in fits)
    return Claim(
        "in the authors' code the loss is 0.0267 at step 75 and 0.0026 at step 3500; the error is least, 0.0095, at step 45",
        f"{loss75:.4f} and {loss3500:.4f}; {best:.4f} at step {best_step:.0f}",
        "a factor 2 each: theirs is one draw of noise and weights",
        all(0.5 <= ratio <= 2 for ratio in (loss75 / 0.0267, loss3500 / 0.00261, best / 0.0095, best_step / 45)),
    )


def _share(singular_values: Sequence[float], n: int) -> float:
    """Return the share of the first n values in the squared sum."""
    squares = np.square(singular_values)
    return float(squares[:n].sum() / squares.sum())


def _spectrum(measured: Measured) -> Plot:
    ranks = np.arange(1, N + 1)

    def shown(name: str) -> Float[np.ndarray, "n"]:
        values: Float[np.ndarray, "n"] = measured.mean(name, "singular_values")
        return np.where(values > SMALLEST_SHOWN * values[0], values, np.nan)

    curves = [Curve(name, ranks, shown(name)) for name in _step_names()]
    curves.append(Curve(f"{SLIP}, step 1", ranks, shown(SLIP), "dashes"))
    return Plot("Singular values", "number", "singular value", curves, "log", "log")


def _vectors(title: str, look: Look) -> Plot:
    curves = [
        Curve(f"vector {i}", np.arange(N), np.asarray(vector) - 0.25 * k)
        for k, (i, vector) in enumerate(zip(SHOWN_VECTORS, look["vectors"], strict=True))
    ]
    return Plot(title, "sample", "value, shifted", curves)


def _fit_plots(fit: Mapping[str, Any]) -> list[Plot]:
    loss, error, measurement, output = (np.array(fit[name]) for name in ("loss", "error", "measurement", "output"))
    steps = np.arange(1, len(loss) + 1)
    return [
        Plot(
            "The fit of the step",
            "step",
            "mean squared error",
            [Curve("to the noisy step", steps, loss), Curve("to the step", steps, error)],
            "log",
            "log",
        ),
        Plot(
            "What is fitted",
            "sample",
            "value",
            [Curve("measurement", np.arange(N), measurement), Curve("last output", np.arange(N), output)],
        ),
    ]


class _Unmapped(Generator):
    """A decoder without its output map."""

    def __init__(self, decoder: DeepDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self) -> Tensor:
        image: Tensor = self.decoder()
        return 4 * (image - 0.5)


def _step_decoder(rng: torch.Generator) -> _Unmapped:
    """Return the net of figure 7, with Xavier's normal weights and a latent in [0, 1]."""
    options: Any = {"order": "relu-norm", "output_map": "linear", "kernel": "linear"}
    decoder = DeepDecoder((N,), 1, n_channels=64, n_scales=4, rngs=[rng], **options)
    with torch.no_grad():
        decoder.latent.mul_(10)
        for weights in (*decoder.convolutions, decoder.output_convolution):
            weights.copy_(torch.randn(weights.shape, generator=rng) * (2 / sum(weights.shape[-2:])) ** 0.5)
    decoder.output_convolution.requires_grad_(False)
    return _Unmapped(decoder)


def _look_at_start(seed: int) -> dict[str, Look]:
    rows = _rows(_step_decoder(torch.Generator().manual_seed(seed)))
    return {f"step {MOMENTS[0]}": _look(rows), SLIP: _look(rows.cumsum(0))}


def _fit_step(seed: int) -> dict[str, Any]:
    """Fit the noisy step; return the curves, and looks at the Jacobian at all moments but the first."""
    rng = torch.Generator().manual_seed(1000 + seed)
    truth = (torch.arange(N) >= N // 2).float()
    measurement = truth + 0.2 * torch.randn(N, generator=rng)
    net = _step_decoder(rng)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.01)
    loss, error, looks = [], [], {}
    output = measurement
    for step in range(1, MOMENTS[-1] + 1):
        if step in MOMENTS[1:]:
            looks[f"step {step}"] = _look(_rows(net))
        residual = net().flatten() - measurement
        optimizer.zero_grad()
        fidelity = residual.square().mean()
        fidelity.backward()
        optimizer.step()
        output = residual.detach() + measurement
        loss.append(float(fidelity.detach()))
        error.append(float((output - truth).square().mean()))
    return {
        "loss": loss,
        "error": error,
        "measurement": measurement.tolist(),
        "output": output.tolist(),
        "looks": looks,
    }


def _rows(net: Generator) -> Float[Tensor, "n p"]:
    """Return the dense Jacobian with respect to the hidden convolutions, row by row, in double precision."""
    precise = _step_decoder(torch.Generator())
    precise.load_state_dict(net.state_dict())
    linear_map = module_jacobian(precise.double(), ["convolutions"])
    return torch.stack([linear_map.adjoint(unit.view(1, 1, N)) for unit in torch.eye(N, dtype=torch.float64)])


def _look(rows: Float[Tensor, "n p"]) -> Look:
    values, vectors = (x.flip(-1) for x in torch.linalg.eigh(rows @ rows.T))
    energy = torch.fft.rfft(vectors.T, norm="ortho").abs().square()
    energy[:, 1 : N // 2] *= 2  # a cosine and a sine each
    low = energy[:, 1:].cumsum(1)
    signed = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    return {
        "singular_values": values.clamp_min(0).sqrt().tolist(),
        "low_pass": [float(low[:p, p // 2 - 1].mean()) for p in LOW_PASS_RANKS],
        "purity": energy[:N_SINGLE, 1:].amax(1).tolist(),
        "vectors": [signed[:, i - 1].tolist() for i in SHOWN_VECTORS],
    }
