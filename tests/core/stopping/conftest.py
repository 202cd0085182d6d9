import math

import pytest
import torch

SIGMA = 0.1


class TwoBandFit:
    """Fits in closed form: coarse structure is drawn first, fine detail (noise but for a little) later.

    Step ``t`` is the filter with gain ``1 - exp(-t/5)`` below a frequency and ``(1 - exp(-(t/150)³))`` above, which a start changes.
    """

    def __init__(self, shape=(1, 32, 32), sigma=SIGMA, seed=0):
        from napari_convgen.core.problem import Problem  # once pytest is set up: signatures are checked from then on

        rng = torch.Generator().manual_seed(seed)
        grid = torch.meshgrid(*(torch.fft.fftfreq(n, dtype=torch.float64) for n in shape[1:]), indexing="ij")
        self.frequencies = torch.stack(grid)
        self.is_coarse = self.frequencies.norm(dim=0) < 0.12
        self.axes = tuple(range(-len(grid), 0))
        self.truth = 0.5 + self.filtered(torch.randn(shape, generator=rng, dtype=torch.float64), self.is_coarse)
        self.sigma = torch.as_tensor(sigma, dtype=torch.float64).expand(shape[0])
        column = self.sigma.view(-1, *(1,) * len(grid))
        self.noise = column * torch.randn(shape, generator=rng, dtype=torch.float64)
        self.problem = Problem(
            self.truth + self.noise, torch.ones(shape, dtype=torch.float64), self.sigma, is_level_given=True
        )

    def filtered(self, images, gains):
        return torch.fft.ifftn(gains * torch.fft.fftn(images, dim=self.axes), dim=self.axes).real

    def gains(self, step, start=0):
        shift = torch.tensor([1.0 + start, 2.0 * start][: len(self.axes)], dtype=torch.float64)
        wobble = 1 + 0.5 * torch.cos(2 * math.pi * torch.tensordot(shift, self.frequencies, 1))
        fine = (1 - math.exp(-((step / 150) ** 3))) * wobble
        return torch.where(self.is_coarse, 1 - math.exp(-step / 5), fine)

    def outputs(self, step, members):
        pairs = zip(members.measurements, members.starts, strict=True)
        return torch.stack([self.filtered(y, self.gains(step, start)) for y, start in pairs])

    def error(self, step, members):
        """Mean squared error of the kept image."""
        kept = self.outputs(step, members)[[i for i, is_kept in enumerate(members.is_kept) if is_kept]]
        return float(((kept.mean(0) - self.truth) ** 2).mean())

    def iterate(self, step, members, is_snapshot=True):
        from napari_convgen.core.stopping.rule import Iterate

        outputs = self.outputs(step, members)
        kept = tuple(i for i, is_kept in enumerate(members.is_kept) if is_kept)
        loss = ((outputs - members.measurements) ** 2)[list(kept)].mean()
        return Iterate(step, loss, outputs, outputs, is_snapshot, kept)

    def run(self, rule, n_seeds=1, n_steps=2000, seed=1):  # not the seed of the noise
        """Walk through a fit; return its members, the criteria, and the last judgment."""
        from napari_convgen.core.snapshot import next_snapshot_step

        members = rule.members(self.problem, n_seeds, torch.Generator().manual_seed(seed))
        rule.begin(self.problem, members)
        criteria, steps, next_snapshot = [], [], 1
        for step in range(1, n_steps + 1):
            is_snapshot = step == next_snapshot
            criteria.append(float(rule.observe(self.iterate(step, members, is_snapshot))))
            if is_snapshot:
                steps.append(step)
                next_snapshot = next_snapshot_step(step)
                judgment = rule.judge(steps)
                if judgment.reason is not None:
                    break
        return members, criteria, judgment

    def excess(self, step, members):
        """Error at a step in units of the least."""
        return self.error(step, members) / min(self.error(t, members) for t in range(1, 200))


@pytest.fixture(scope="session")
def two_band_fit():
    return TwoBandFit
