"""Teach the network of the taught generator to take noise off drawings, and keep what it has learned.

Run it as ``python tools/teach.py``: it takes about two hours on one core with bfloat16, and 1.5 GiB. ``--steps 64 --drawings 16 --output
FILE`` is a trial. No image of a specimen is used, see `teaching.drawings`.

There are two rounds, each with drawings of its own and a learning rate that falls to nearly 0. The second begins with what the file holds
after the first, and can be run alone: ``--rounds 2``.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from pathlib import Path

import numpy as np
import torch
from teaching.drawings import SIDE, draw

from napari_convgen.core.generators.denoiser import DRAWN_WEIGHTS, DRAWN_WIDTHS, Denoiser
from napari_convgen.core.generators.layers import Start

N_DRAWINGS, N_STEPS = 10_000, 48_000
"""Number of drawings, and of steps, in each round."""

N_CROPS, CROP = 3, 96
"""Number of crops in a step, and pixels along their sides."""

LEAST_LEVEL, MOST_LEVEL = 0.04, 2.5
"""Standard deviations of the noise, in those of a drawing. Their logarithms are uniform."""

LEARNING_RATES = {1: 2e-3, 2: 1e-3}
"""Largest learning rate of Adam in each round."""

MOST_GRADIENT, MEMORY = 0.5, 0.999
"""Largest norm of a gradient, and memory of the averaged weights."""

REPORTED = 1000
"""Number of steps after which their mean loss is printed."""

FAINT = 0.6
"""Errors are weighted by the level's share in the amplitude to this power: those of faint noise are larger beside it than those of strong
noise, and would count alone."""


def drawing(number: int) -> np.ndarray:
    """Return a drawing in half precision."""
    return draw(number).astype(np.float16)


def crop(drawings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a piece of a drawing, turned, mirrored or inverted by chance."""
    which, top, left = rng.integers(len(drawings)), *rng.integers(SIDE - CROP + 1, size=2)
    piece = np.rot90(drawings[which, top : top + CROP, left : left + CROP].astype(np.float32), rng.integers(4))
    piece = piece[:, ::-1] if rng.random() < 0.5 else piece
    return np.ascontiguousarray(-piece if rng.random() < 0.25 else piece)


def new_network() -> Denoiser:
    """Return the network that has learned nothing."""
    halvings = [(2, 2)] * (len(DRAWN_WIDTHS) - 1)
    start = Start(torch.Generator().manual_seed(0), torch.float32)
    return Denoiser(1, DRAWN_WIDTHS, halvings, start, torch.bfloat16, n_axes=2, knows_level=True)


def teach(network: Denoiser, drawings: np.ndarray, n_steps: int, number: int = 1) -> dict[str, np.ndarray]:
    """Return the averaged weights of a network that has learned from drawings in the round of that number, by name."""
    rng, noise = np.random.default_rng(number - 1), torch.Generator().manual_seed(number - 1)
    parameters = dict(network.named_parameters())
    averages = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    optimizer = torch.optim.Adam(parameters.values(), betas=(0.9, 0.99))
    losses = []
    for step in range(1, n_steps + 1):
        pace = min(1, step / 500) * max(0.01, 0.5 * (1 + math.cos(math.pi * step / n_steps)))
        optimizer.param_groups[0]["lr"] = LEARNING_RATES[number] * pace
        clean = torch.from_numpy(np.stack([crop(drawings, rng) for _ in range(N_CROPS)]))[:, None]
        levels = np.exp(rng.uniform(math.log(LEAST_LEVEL), math.log(MOST_LEVEL), (N_CROPS, 1, 1, 1)))
        level = torch.from_numpy(levels.astype(np.float32))
        noisy = clean + level * torch.randn(clean.shape, generator=noise)
        unit = 1 + level
        error = (network(noisy / unit, level / unit) - clean / unit) * (unit / level)
        loss = (error.square() * (level / unit) ** FAINT).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), MOST_GRADIENT)
        optimizer.step()
        memory = min(MEMORY, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in parameters.items():
                averages[name].lerp_(parameter, 1 - memory)
        losses.append(loss.item())
        if step % REPORTED == 0:
            print(f"{step}: {np.mean(losses[-REPORTED:]):.4f}", flush=True)
    return {name: average.half().numpy() for name, average in averages.items()}


def main() -> None:
    """Make the drawings, teach, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=N_STEPS, help="number of steps of a round")
    parser.add_argument("--drawings", type=int, default=N_DRAWINGS, help="number of drawings of a round")
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 2], choices=[1, 2], help="rounds to run")
    parser.add_argument("--output", type=Path, default=DRAWN_WEIGHTS, help="file for the weights")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for number in chosen.rounds:
        network = new_network()
        if number > 1:
            network.load(chosen.output)
        numbers = range((number - 1) * chosen.drawings, number * chosen.drawings)
        with multiprocessing.Pool() as pool:
            drawings = np.stack(pool.map(drawing, numbers, chunksize=20))
        np.savez_compressed(chosen.output, **teach(network, drawings, chosen.steps, number))


if __name__ == "__main__":
    main()
