"""The passes on the CPU use all threads where that is faster."""

import pytest
import torch

from napari_convgen.core.cpu.threads import SMALL_PASS
from napari_convgen.core.non_local import chain, cpu


@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_the_search_for_similar_patches_is_shared_out(n_axes, monkeypatch):
    """What is compared is counted along axes too in which patches are not looked for."""
    n_values = []
    monkeypatch.setattr(cpu, "share_out", lambda kernel, n_tasks, n, *shared, **options: n_values.append(n))
    image = torch.zeros({1: (1, 1, 4096), 2: (1, 64, 64), 3: (8, 32, 32)}[n_axes])
    patches = chain.PATCHES[n_axes].within(image.shape)
    cpu.CpuPasses(2).match(image, patches)
    assert n_values[0] > SMALL_PASS
