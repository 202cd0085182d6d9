import numpy as np
import pytest
import torch

from napari_convgen.core.generators.guided import GuidedNetwork
from napari_convgen.core.generators.image_input import fill_in
from napari_convgen.core.noise import shaping_filter

SIZE = (24, 20)
SMALL = {"n_channels": 6, "n_fine_channels": 5, "n_scales": 2, "n_skip_channels": 2}
RED = np.array([[3.0, 1.0], [1.0, 0.2]])


def network(n_members=1, n_outputs=1, seed=0, **options):
    rngs = [torch.Generator().manual_seed(seed + i) for i in range(n_members)]
    return GuidedNetwork(SIZE, n_outputs, rngs=rngs, **SMALL | options)


def prepare(net, noisy, level=0.1, weights=None):
    net.prepare(
        noisy, torch.ones_like(noisy) if weights is None else weights, torch.full((noisy.shape[1],), level), None
    )


def test_noise_of_input_and_target_are_independent():
    rng = torch.Generator().manual_seed(1)
    net, level, n_draws = network(recorruption=0.5), 0.1, 400
    of_input, of_target = [], []
    inputs = []
    net.hourglasses[0].register_forward_pre_hook(lambda module, args: inputs.append(args[0].movedim(-1, 0)[None]))
    for _ in range(n_draws):
        noisy = 0.5 + level * torch.randn(1, 1, *SIZE, generator=rng)
        prepare(net, noisy, level)
        with torch.no_grad():
            net()
        of_input.append(inputs[-1] - 0.5)
        of_target.append(net.targets(noisy) - 0.5)
    a, b = torch.stack(of_input).flatten(), torch.stack(of_target).flatten()
    assert a.std() == pytest.approx(level * 1.25**0.5, rel=0.02)
    assert b.std() == pytest.approx(level * 5**0.5, rel=0.02)
    assert abs(torch.corrcoef(torch.stack((a, b)))[0, 1]) < 5 / len(a) ** 0.5


def test_the_level_of_each_channel_counts():
    net = network(n_outputs=2)
    noisy = torch.full((1, 2, *SIZE), 0.5)
    net.prepare(noisy, torch.ones_like(noisy), torch.tensor([0.1, 0.0]), None)
    net()
    difference = net.targets(noisy) - noisy
    assert difference[0, 0].std() > 0.1
    assert (difference[0, 1] == 0).all()


def test_what_is_not_in_the_loss_is_not_in_the_input():
    rng = torch.Generator().manual_seed(2)
    noisy, weights = torch.rand(2, 1, *SIZE, generator=rng), torch.ones(2, 1, *SIZE)
    weights[0, 0, 5:9, 5:9] = 0
    weights[1, 0, 0, 0] = 0
    changed = torch.where(weights > 0, noisy, 9.0)
    images = []
    for measurements in (noisy, changed):
        net = network(2)
        prepare(net, measurements, weights=weights)
        images.append(net())
    assert torch.equal(*images)


def test_from_the_guide_step_on_it_draws_from_its_average():
    net, noisy = network(guide_step=3, guide_noise=0.0), torch.rand(1, 1, *SIZE)
    prepare(net, noisy)
    average = torch.full_like(noisy, 0.3)
    for step in (1, 2):
        net.update(step, average)
        net()
        assert not torch.equal(net.targets(noisy), noisy)
    net.update(3, average)
    drawn = net()
    assert net.targets(noisy) is noisy
    assert torch.equal(net.inputs, average)
    assert torch.equal(drawn, net.eval()())  # guide_noise is 0
    net.update(4, noisy)
    assert torch.equal(net.inputs, average)


def test_noise_is_new_in_each_step_and_the_same_for_the_same_seed():
    noisy = torch.rand(2, 1, *SIZE)
    twins = network(2), network(2)
    for net in twins:
        prepare(net, noisy)
    first, again = (net() for net in twins)
    assert torch.equal(first, again)
    assert not torch.equal(first, twins[0]())
    assert torch.equal(twins[0].eval()(), twins[0].eval()())


def test_members_have_noise_of_their_own():
    net, noisy = network(2), torch.full((2, 1, *SIZE), 0.5)
    prepare(net, noisy)
    net()
    first, second = (net.targets(noisy) - noisy).flatten(1)
    assert abs(torch.corrcoef(torch.stack((first, second)))[0, 1]) < 0.2


def test_its_state_holds_the_guide_and_whether_there_is_one():
    net, noisy = network(guide_step=1), torch.rand(1, 1, *SIZE)
    prepare(net, noisy)
    before = {name: value.clone() if torch.is_tensor(value) else value for name, value in net.state_dict().items()}
    net.update(1, torch.full_like(noisy, 0.3))
    after = {name: value.clone() if torch.is_tensor(value) else value for name, value in net.state_dict().items()}
    net.load_state_dict(before)
    assert not net.is_settled
    assert torch.equal(net.inputs, noisy)
    net.load_state_dict(after)
    assert net.is_settled
    assert (net.inputs == 0.3).all()


@pytest.mark.parametrize("size", [(17,), (9, 13), (5, 8, 7)])
def test_it_draws_images_of_any_size_and_learns(size):
    rng = torch.Generator().manual_seed(3)
    net = GuidedNetwork(size, 2, rngs=[rng, torch.Generator().manual_seed(4)], **SMALL)
    noisy = torch.rand(2, 2, *size)
    net.prepare(noisy, torch.ones_like(noisy), torch.full((2,), 0.05), RED)
    images = net()
    assert images.shape == noisy.shape
    ((images - net.targets(noisy)) ** 2).sum().backward()
    assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in net.parameters())
    assert 0 <= net.dead_fraction() < 1


def test_unknown_pixels_get_the_mean_of_their_known_neighbors():
    images = torch.arange(25.0).view(1, 1, 5, 5)
    known = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    known[0, 0, 2, 2] = known[0, 0, 0, 0] = False
    filled = fill_in(images, known)
    assert filled[0, 0, 2, 2] == 12
    assert filled[0, 0, 0, 0] == (1 + 5 + 6) / 3
    assert torch.equal(filled[known], images[known])


def test_wide_gaps_are_filled_from_their_edge_and_an_unknown_channel_is_gray():
    images = torch.full((1, 2, 9, 9), float("nan"))
    images[0, 0, 0] = 0.25
    filled = fill_in(images, images.isfinite())
    assert (filled[0, 0] == 0.25).all()
    assert (filled[0, 1] == 0.5).all()


def test_noise_of_input_and_target_has_the_spectrum_of_the_image_s():
    net, noisy = network(), torch.full((1, 1, *SIZE), 0.5)
    net.prepare(noisy, torch.ones_like(noisy), torch.tensor([0.1]), RED)
    differences = []
    for _ in range(200):
        with torch.no_grad():
            net()
        differences.append(net.targets(noisy)[0, 0] - noisy[0, 0])
    noise = torch.stack(differences)
    assert noise.std() == pytest.approx(0.1 / 0.5, rel=0.02)
    power = (torch.fft.rfft2(noise).abs() ** 2).mean(0)
    power = power / power[[0, 12, 12, 0], [0, 0, 10, 10]].mean()
    expected = torch.as_tensor(shaping_filter(RED, SIZE)) ** 2
    assert power[0, 0] / power[12, 10] == pytest.approx(float(expected[0, 0] / expected[12, 10]), rel=0.5)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 5), (1, 6), (2,)])
def test_pixels_of_thin_images_are_filled_in_like_those_of_others(shape):
    images = torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(0))
    known = torch.ones_like(images, dtype=torch.bool)
    known.flatten()[1] = False
    filled = fill_in(images, known)
    total, n = 0.0, 0
    place = np.unravel_index(1, shape)
    for index in np.ndindex(shape):
        if index != place and max(abs(a - b) for a, b in zip(index, place, strict=True)) <= 1:
            total, n = total + float(images[(0, 0, *index)]), n + 1
    assert float(filled[(0, 0, *place)]) == pytest.approx(total / n, rel=1e-5)
