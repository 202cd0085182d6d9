import pytest
import torch

from napari_convgen.core.stopping.paired import PairedErrors


def errors_of(n_correlated=1, **by_step):
    errors = PairedErrors(n_correlated)
    for step, values in by_step.items():
        errors.add(int(step[1:]), values)
    return errors


NOISE = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_what_all_steps_share_drops_out():
    small = 0.1 * torch.randn(400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    small = small / small.std(correction=0) * 0.1 - small.mean()
    errors = errors_of(s1=NOISE + 0.02 + small - small.mean(), s2=NOISE, s3=NOISE + 0.004 + small - small.mean())
    # The noise alone has a standard error of 0.05, the difference one of 0.005.
    assert errors.least([1, 2, 3]) == 2
    assert errors.as_good_as(2, [1, 2, 3]) == [2, 3]


def test_correlated_pixels_count_as_one():
    assert errors_of(9, s1=NOISE).standard_error(NOISE) == pytest.approx(
        3 * errors_of(1, s1=NOISE).standard_error(NOISE)
    )


def test_other_steps_are_forgotten():
    errors = errors_of(s1=NOISE, s2=NOISE - 1, s3=NOISE)
    errors.keep([1, 3])
    assert errors.least([1, 3]) == 1
    assert errors.as_good_as(1, [1, 3]) == [1, 3]
