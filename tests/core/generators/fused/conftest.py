import pytest
import torch

from napari_convgen.core.generators import DeepDecoder


@pytest.fixture(scope="session")
def decoder():
    """Make a decoder whose norms are as random as after some steps."""

    def make(size=(12, 9), n_outputs=1, *, seeds=(0, 1), n_channels=6, n_scales=2, dtype=torch.float64, **options):
        rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
        plain = DeepDecoder(
            size, n_outputs, n_channels=n_channels, n_scales=n_scales, rngs=rngs, dtype=dtype, **options
        )
        with torch.no_grad():
            for scales, offsets in zip(plain.norm_scales, plain.norm_offsets, strict=True):
                for scale, offset, rng in zip(scales, offsets, rngs, strict=True):
                    scale.mul_(0.5 + torch.rand(n_channels, generator=rng, dtype=torch.float64))
                    offset.copy_(torch.randn(n_channels, generator=rng, dtype=torch.float64) / 2)
        return plain

    return make


@pytest.fixture(scope="session")
def output_and_gradients():
    """Compute a generator's output and its gradients, with the same gradient of every member's image."""

    def compute(generator):
        output = generator()
        g = torch.randn(output.shape[1:], generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(
            output.dtype
        )
        return [output.detach(), *torch.autograd.grad((output * g).sum(), list(generator.parameters()))]

    return compute


@pytest.fixture
def set_threads():
    """Set the number of PyTorch's threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
