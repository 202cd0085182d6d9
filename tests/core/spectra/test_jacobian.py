import pytest
import torch

from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.spectra.jacobian import jacobian, module_jacobian


def decoder(order="norm-relu", **options):
    return DeepDecoder(
        (9, 8),
        2,
        rngs=[torch.Generator().manual_seed(0)],
        order=order,
        dtype=torch.float64,
        **{"n_channels": 4, "n_scales": 2, "kernel": "smooth"} | options,
    )


def dense(net):
    """Row by row, by the usual backward pass."""
    parameters = list(net.parameters())
    rows = [torch.autograd.grad(value, parameters, retain_graph=True) for value in [*net().flatten()]]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


@pytest.mark.parametrize("order", ["norm-relu", "relu-norm"])
def test_it_is_the_dense_jacobian_and_its_adjoint(order):
    net = decoder(order)
    linear_map = module_jacobian(net)
    like = torch.zeros(1, dtype=torch.float64)
    assert torch.allclose(linear_map.matrix(like), dense(net), rtol=1e-10, atol=1e-12)
    assert linear_map.dot_error(like, torch.Generator().manual_seed(1)) < 1e-13
    assert linear_map.out_shape == tuple(net().shape)


def test_it_is_the_derivative():
    net = decoder()
    linear_map = module_jacobian(net)
    parameters = [p.detach().clone() for p in net.parameters()]
    change = torch.randn(linear_map.in_shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def moved(size):
        with torch.no_grad():
            for p, before, part in zip(
                net.parameters(), parameters, change.split([p.numel() for p in parameters]), strict=True
            ):
                p.copy_(before + size * part.view_as(p))
            return net()

    difference = (moved(1e-7) - moved(-1e-7)) / 2e-7
    assert torch.allclose(linear_map.apply(change), difference, rtol=1e-5, atol=1e-6)


def test_it_stays_where_it_was_taken():
    net = decoder()
    linear_map = module_jacobian(net)
    like = torch.zeros(1, dtype=torch.float64)
    before = linear_map.matrix(like)
    with torch.no_grad():
        for p in net.parameters():
            p += 1
    assert torch.equal(linear_map.matrix(like), before)


def test_of_a_linear_function_it_is_the_function():
    a = torch.randn((3, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    linear_map = jacobian(lambda p: a @ torch.cat((p["u"], p["v"])), {"u": a[0, :2], "v": a[1, :3]})
    assert torch.allclose(linear_map.matrix(a), a)
