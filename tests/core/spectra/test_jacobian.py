import threading

import pytest
import torch

from napari_convgen.core.generators import DeepDecoder, GuidedNetwork, SkipNetwork
from napari_convgen.core.generators.convolutional import WIDTHS, ConvolutionalGenerator
from napari_convgen.core.generators.two_layer import TwoLayer
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.spectra.centering import ChannelMeans, remove_mean
from napari_convgen.core.spectra.jacobian import GROUPS, gram, jacobian, module_jacobian, observed

LIKE = torch.zeros(1, dtype=torch.float64)


def decoder(order="norm-relu", **options):
    return DeepDecoder(
        (6, 5),
        2,
        rngs=[torch.Generator().manual_seed(0)],
        order=order,
        dtype=torch.float64,
        **{"n_channels": 4, "n_scales": 2, "kernel": "smooth"} | options,
    )


def skip_network(**options):
    words = {"n_channels": 3, "n_fine_channels": 2, "n_scales": 2, "n_skip_channels": 1, "n_latent_channels": 2}
    rngs = [torch.Generator().manual_seed(0)]
    return SkipNetwork((6, 5), 2, rngs=rngs, dtype=torch.float64, **words | options)


def dense(net, names=None):
    """Row by row, by the usual backward pass."""
    parameters = [p for name, p in net.named_parameters() if names is None or any(each in name for each in names)]
    rows = [torch.autograd.grad(value, parameters, retain_graph=True) for value in [*net().flatten()]]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def guided_network(**options):
    words = {"n_channels": 3, "n_fine_channels": 2, "n_scales": 2, "n_skip_channels": 1}
    net = GuidedNetwork((6, 5), 2, rngs=[torch.Generator().manual_seed(0)], dtype=torch.float64, **words | options)
    noisy = torch.rand(1, 2, 6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    net.prepare(noisy, torch.ones_like(noisy), torch.full((2,), 0.1, dtype=torch.float64), None)
    return net


def convolutional(convolution):
    rngs = [torch.Generator().manual_seed(0)]
    return ConvolutionalGenerator(
        (6, 5), 2, convolution=convolution, n_channels=3, n_layers=2, rngs=rngs, dtype=torch.float64
    )


def two_layer():
    kernel = torch.rand(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return TwoLayer(kernel, n_channels=6, weight_scale=1.0, rngs=[torch.Generator().manual_seed(0)])


NETS = {
    "paper's order": lambda: decoder("relu-norm"),
    "norm before ReLU": lambda: decoder("norm-relu"),
    "authors' layer, linear": lambda: decoder("relu-norm", extra_layer="last", output_map="linear"),
    "skip network": skip_network,
    "guided network": guided_network,
    **{convolution: lambda convolution=convolution: convolutional(convolution) for convolution in WIDTHS},
    "two layers": two_layer,
}


@pytest.mark.parametrize("name", NETS)
def test_it_is_the_dense_jacobian_and_its_adjoint(name):
    net = NETS[name]().eval()
    linear_map = module_jacobian(net)
    assert torch.allclose(linear_map.matrix(LIKE), dense(net), rtol=1e-9, atol=1e-11)
    assert linear_map.dot_error(LIKE, torch.Generator().manual_seed(1)) < 1e-13
    assert linear_map.out_shape == tuple(net().shape)


@pytest.mark.parametrize("make", [decoder, skip_network])
def test_groups_are_parts_of_it(make):
    net = make().eval()
    hidden = ["convolutions."] if make is decoder else ["0.weights", "1.weights", "skip.weights"]
    names = {"convolutions": hidden, "norms": ["norm"], "output": ["output"]}
    n_parameters = 0
    for group in GROUPS:
        linear_map = module_jacobian(net, [group])
        assert torch.allclose(linear_map.matrix(LIKE), dense(net, names[group]), rtol=1e-9, atol=1e-11)
        n_parameters += linear_map.in_shape[0]
    assert n_parameters == sum(p.numel() for p in net.parameters())


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
    before = linear_map.matrix(LIKE)
    with torch.no_grad():
        for p in net.parameters():
            p += 1
    assert torch.equal(linear_map.matrix(LIKE), before)


def test_it_leaves_the_generator_alone():
    net = skip_network(input_noise=0.1, dropout=0.25)
    net().sum().backward()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    gradients = [p.grad.clone() for p in net.parameters()]
    linear_map = module_jacobian(net)
    first, second = linear_map.matrix(LIKE), linear_map.matrix(LIKE)
    assert torch.equal(first, second)  # no noise, no dropout
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(torch.equal(p.grad, gradient) for p, gradient in zip(net.parameters(), gradients, strict=True))
    assert all(p.requires_grad for p in net.parameters())


def test_two_threads_can_take_products():
    linear_map = module_jacobian(decoder())
    change = torch.ones(linear_map.in_shape, dtype=torch.float64)
    right = linear_map.apply(change)
    wrong = []

    def work():
        try:
            # The last bits depend on the number of OpenMP threads, which each thread has of its own.
            wrong.extend(i for i in range(20) if not torch.allclose(linear_map.apply(change), right, rtol=1e-9))
        except RuntimeError as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_of_a_linear_function_it_is_the_function():
    a = torch.randn((3, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    linear_map = jacobian(lambda p: a @ torch.cat((p["u"], p["v"])), {"u": a[0, :2], "v": a[1, :3]})
    assert torch.allclose(linear_map.matrix(a), a)


def test_a_constant_has_none():
    linear_map = jacobian(lambda p: torch.ones(3) * 1.0, {"u": torch.ones(2)})
    assert torch.equal(linear_map.matrix(torch.ones(1)), torch.zeros(3, 2))


def test_what_is_observed_is_what_a_projection_leaves():
    a = torch.randn((8, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = LinearMap(lambda v: (a @ v).view(1, 2, 4), (5,), (1, 2, 4), lambda y: a.T @ y.flatten())
    weights = torch.tensor([[1.0, 1, 0, 1], [1, 1, 1, 1]], dtype=torch.float64)
    part = observed(whole, ChannelMeans(weights))
    w = [row[:, None] for row in weights]
    blocks = [torch.diag(x.flatten()) - x @ x.T / x.sum() for x in w]  # zeros, and means, taken out
    assert torch.allclose(part.matrix(LIKE), torch.block_diag(*blocks) @ a)
    assert part.dot_error(LIKE, torch.Generator().manual_seed(1)) < 1e-13
    vector = torch.arange(8.0, dtype=torch.float64)
    assert torch.allclose(gram(part)(vector), part.matrix(LIKE) @ part.matrix(LIKE).T @ vector)
    image = remove_mean(vector.view(2, 4), weights)
    assert torch.allclose(image.flatten(), torch.block_diag(*blocks) @ vector)


def test_a_channel_of_which_nothing_is_observed_is_zero():
    weights = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert torch.equal(remove_mean(torch.tensor([[1.0, 3.0], [5.0, 9.0]]), weights), torch.tensor([[-1.0, 1], [0, 0]]))


def test_convolutions_before_a_norm_do_not_move_the_mean():
    ones = torch.ones((1, 2, 6, 5), dtype=torch.float64)
    ordered = {order: decoder(order, output_map="linear") for order in ("relu-norm", "norm-relu")}
    moved = {order: module_jacobian(net, ["convolutions"]).adjoint(ones).norm() for order, net in ordered.items()}
    assert moved["relu-norm"] < 1e-10 < 1e-2 < moved["norm-relu"]
