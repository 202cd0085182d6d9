"""A step of a fused decoder takes no memory of all channels beyond its own."""

import math
import tracemalloc

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_convgen.core.generators.fused import fuse, products


class Largest(TorchDispatchMode):
    """Notes the largest memory that an operation's result lies in, other than the given ones."""

    def __init__(self, known):
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.n_bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.known:
                self.n_bytes = max(self.n_bytes, tensor.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("extra_layer", ["none", "first", "last"])
def test_a_step_takes_no_memory_of_all_channels_beyond_the_decoders_own(
    decoder, output_and_gradients, monkeypatch, extra_layer, dtype
):
    monkeypatch.setattr(products, "PART_VALUES", 2**10)
    plain = decoder((96, 120), n_channels=16, dtype=dtype, order="norm-relu", extra_layer=extra_layer)
    fused = fuse(plain, "numba")
    sizes = [z.shape for z in fused._z]
    coarse = [24 * 30] * (extra_layer == "first") + [24 * 30, 48 * 60] + [96 * 120] * (extra_layer == "last")
    assert sizes == [(2, n, 16) for n in coarse]
    assert len(fused._scratch) == max(math.prod(size) for size in sizes)

    owned = [*fused._z, fused._scratch]
    places = [x.data_ptr() for x in owned]

    def work():
        with Largest([*owned, plain.latent]) as largest:
            output_and_gradients(fused)
            fused.dead_fraction()
        return largest

    work()  # what is made once, such as caches
    tracemalloc.start()
    largest = work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [x.data_ptr() for x in [*fused._z, fused._scratch]] == places
    images = 2 * 96 * 120 * 8  # what draws the test's own gradient is in double precision
    assert 0 < largest.n_bytes <= images
    assert peak < 1.5 * images  # less than any tensor of all channels but the coarsest
