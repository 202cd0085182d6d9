import numpy as np
import pytest
import torch

from napari_convgen.core.generators import TaughtNetwork
from napari_convgen.core.generators.taught import MOST_GRADIENT, crop_size, turned, turned_back
from napari_convgen.errors import InputError

RED = 1 / (1 + 0.5 * (np.arange(8)[:, None] ** 2 + np.arange(8) ** 2))
"""Power of noise that falls with the frequency."""


def rngs(n=1, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(n)]


def network(size=(20, 26), n_outputs=1, n=1, **options):
    return TaughtNetwork(size, n_outputs, rngs=rngs(n), **{"n_channels": 6, "n_fine_channels": 4} | options)


def taught(generator, clean, level=0.1, weights=None, spectrum=None, n_steps=0, seed=1):
    noise = level * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    noisy = (clean + noise)[None].expand(len(generator.networks), *clean.shape)
    weights = torch.ones_like(noisy) if weights is None else weights
    generator.prepare(noisy, weights, torch.full((len(clean),), level), spectrum)
    generator.guide(clean[None].expand_as(noisy))
    optimizer = torch.optim.Adam(generator.parameters(), 0.003)
    for _ in range(n_steps):
        optimizer.zero_grad()
        for member in range(len(generator.networks)):
            generator.learn(member)
        optimizer.step()
    return noisy


def waves(*size):
    grids = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    return 0.5 + 0.3 * torch.stack(grids).float().mul(0.5).sin().mean(0)[None]


def test_the_image_is_the_measurement_before_the_first_lesson():
    generator = network(n_outputs=2, n=2)
    noisy = taught(generator, waves(20, 26).expand(2, 20, 26))
    torch.testing.assert_close(generator(), noisy)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((20, 26), {}),
        ((21, 27), {"features_dtype": torch.bfloat16}),
        ((60,), {"n_scales": 1}),
        ((7, 10, 9), {"spacing": (3.0, 1.0, 1.0)}),
        ((1, 90), {"n_scales": 1}),
        ((3, 2, 12), {}),
    ],
)
def test_lessons_take_noise_off_the_measurement(size, options):
    clean = waves(*size)
    generator = network(size, **options)
    noisy = taught(generator, clean, n_steps=60)
    with torch.no_grad():
        images = torch.stack([generator() for _ in range(generator.n_orientations)]).mean(0)
    assert images.shape == (1, 1, *size)
    assert images.dtype == torch.float32
    assert (images - clean).square().mean() < 0.95 * (noisy - clean).square().mean()


def test_a_network_that_has_learned_from_drawings_needs_no_lesson():
    clean = waves(40, 48)
    generator = network((40, 48), n=2)
    noisy = taught(generator, clean)
    with torch.no_grad():
        images = torch.stack([generator() for _ in range(generator.n_orientations)]).mean(0)
    assert (images - clean).square().mean() < 0.2 * (noisy - clean).square().mean()
    torch.testing.assert_close(images[0], images[1])


def test_the_guide_is_shown_where_the_measurement_is_left_out():
    generator, weights = network((40, 48)), torch.ones(1, 1, 40, 48)
    weights[..., 5:9, 7:30] = 0
    clean = waves(40, 48)
    noisy = taught(generator, clean, weights=weights)
    torch.testing.assert_close(generator.inputs, torch.where(weights > 0, noisy, clean[None]))


GRAYS = torch.tensor([0.9, 1.0, 0.4])[:, None, None]
LEVELS = torch.tensor([0.1, 0.2, 0.05])


def colors(n_outputs=3):
    """Return channels that are nearly one image, and a faint other one in the first two."""
    other = 0.01 * torch.cos(torch.arange(48) / 2.0).expand(1, 40, 48)
    return (GRAYS * waves(40, 48) + torch.tensor([1.0, -1.0, 0.0])[:, None, None] * other)[:n_outputs]


def shown_colors(generator, clean, guides, seed=1):
    noise = LEVELS[:, None, None] * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    noisy = (clean + noise)[None].expand_as(guides)
    generator.prepare(noisy, torch.ones_like(noisy), LEVELS, None)
    generator.guide(guides)
    with torch.no_grad():
        return torch.stack([generator() for _ in range(generator.n_orientations)]).mean(0), noise


def test_of_colors_such_a_network_sees_principal_components_in_units_of_the_noise():
    clean = colors()
    generator = network((40, 48), n_outputs=3)
    images, noise = shown_colors(generator, clean, clean[None])
    in_units = (clean / LEVELS[:, None, None]).flatten(1).double()
    values, vectors = torch.linalg.eigh(in_units.cov(correction=0))
    torch.testing.assert_close((generator.basis @ generator.basis.T), torch.eye(3), atol=1e-5, rtol=0)
    assert abs(float(generator.basis[0].double() @ vectors[:, -1])) == pytest.approx(1)
    assert [float(max(row, key=abs)) > 0 for row in generator.basis] == [True] * 3
    mean = float(LEVELS.mean())  # the level of each component
    deviations = mean * values.flip(0).clamp_min(0).sqrt()
    torch.testing.assert_close(generator.unit.flatten().double(), deviations + mean, rtol=1e-3, atol=1e-5)
    assert deviations[0] > mean > deviations[1]
    assert (images[0] - clean).square().mean() < 0.2 * noise.square().mean()


def test_components_fainter_than_the_noise_are_those_of_the_guide():
    clean = colors()
    guides = clean[None] + 0.004 * torch.randn(2, 3, 40, 48, generator=torch.Generator().manual_seed(3))
    generator = network((40, 48), n_outputs=3, n=2)
    images, _ = shown_colors(generator, clean, guides)
    other = generator.basis[1:] / LEVELS  # sums of channels in units of their noise
    of = torch.einsum
    torch.testing.assert_close(
        of("dc,mchw->mdhw", other, images), of("dc,mchw->mdhw", other, guides), atol=1e-3, rtol=0
    )
    assert (images - guides).square().mean() > 1e-6


def test_lessons_of_colors_are_about_strong_components_the_more_often_the_stronger_they_are():
    generator = network((40, 48), n_outputs=3)
    stripes = 0.3 * torch.cos(torch.arange(48) / 3.0).expand(40, 48)
    clean = LEVELS[:, None, None] * 10 * torch.stack([3 * waves(40, 48)[0], stripes, 0.01 * stripes.roll(5, 1)])
    shown_colors(generator, clean, clean[None])
    drawn = [generator._part(generator.noises[0]).start for _ in range(300)]
    deviations = (generator.unit - LEVELS.mean()).flatten()
    assert set(drawn) == {0, 1}
    assert drawn.count(0) / 300 == pytest.approx(float(deviations[0] / deviations[:2].sum()), abs=0.08)
    generator.lesson_loss(0).backward()
    assert all(parameter.grad is not None for parameter in generator.networks[0].parameters())


def test_a_network_of_colors_passes_on_its_components():
    clean = colors()
    first, second = (network((40, 48), n_outputs=3) for _ in range(2))
    shown_colors(first, clean, clean[None])
    shown_colors(second, clean, clean[None])
    first.learn_from(clean.flip(0)[None, None])
    second.begin_learned(first.learned())
    with torch.no_grad():
        torch.testing.assert_close(second(), first())


def test_such_a_network_is_told_the_level():
    clean, images = waves(40, 48), []
    for level in (0.02, 0.2):
        generator = network((40, 48))
        noisy = taught(generator, clean, level=0.1)
        generator.noise_level.fill_(level)
        with torch.no_grad():
            images.append(generator())
    faint, strong = ((image - noisy).square().mean() for image in images)
    assert faint < 0.5 * strong


@pytest.mark.parametrize(
    ("size", "n_outputs", "spacing", "is_drawn"),
    [
        ((32, 40), 1, None, True),
        ((32, 40), 1, (1.0, 1.5), True),
        ((32, 40), 1, (1.0, 3.0), False),
        ((31, 40), 1, None, True),
        ((24, 40), 1, None, False),
        ((32, 40), 3, None, True),
        ((8, 32, 40), 1, None, False),
        ((64,), 1, None, False),
    ],
)
def test_planes_begin_with_drawings(size, n_outputs, spacing, is_drawn):
    generator = network(size, n_outputs, spacing=spacing)
    assert [each.knows_level for each in generator.networks] == [is_drawn]
    assert not network(size, n_outputs, spacing=spacing, begins_with="chance").networks[0].knows_level


@pytest.mark.parametrize(
    ("size", "is_half"), [((2, 10, 3), False), ((10, 12), False), ((16, 24, 24), True), ((20, 26), True)]
)
def test_narrow_grids_are_computed_in_single_precision(size, is_half):
    generator = network(size, n_scales=2, features_dtype=torch.bfloat16)
    dtype = torch.bfloat16 if is_half else torch.float32
    assert [each.features_dtype for each in generator.networks] == [dtype] * len(generator.networks)


def test_a_lesson_is_the_error_on_crops_of_the_guide_with_fresh_noise():
    generator = network()
    taught(generator, waves(20, 26), level=0.1)
    unit = float(generator.unit)  # the network takes nothing off yet: what is left is the noise
    losses = torch.stack([generator.lesson_loss(0) for _ in range(20)]).detach()
    assert losses.mean() == pytest.approx((0.1 / unit) ** 2, rel=0.03)
    assert losses.unique().numel() == 20


def test_no_lesson_changes_the_network_of_a_volume_by_much():
    generator = network(size=(4, 12, 12), n=2)
    taught(generator, waves(4, 12, 12))
    with torch.no_grad():
        generator.networks[0].output.weights.add_(1.0)  # far from what is right
    generator.learn(0)
    gradients = [p.grad for p in generator.networks[0].parameters()]
    assert torch.stack([g.norm() for g in gradients]).norm() == pytest.approx(MOST_GRADIENT, rel=1e-4)
    assert all(p.grad is None for p in generator.networks[1].parameters())


def test_members_are_networks_of_their_own():
    generator = network(n=2)
    taught(generator, waves(20, 26), n_steps=1)
    generator.zero_grad()
    first, second = generator.lesson_loss(0), generator.lesson_loss(1)
    assert first != second
    first.backward()
    assert all(p.grad is None or not p.grad.any() for p in generator.networks[1].parameters())


def test_no_image_is_kept_before_noise_is_taken_off():
    generator = network(n_lessons=30)
    taught(generator, waves(20, 26))
    settled = []
    for _ in range(4):
        generator()
        settled.append(generator.is_settled)
    assert settled == [False, False, False, True]
    before = generator.state_dict()
    generator = network(n_lessons=30)
    generator.load_state_dict(before)
    assert generator.is_settled


def test_pixels_that_are_left_out_are_in_no_image():
    weights = torch.ones(1, 1, 20, 26)
    weights[..., 7, 9] = 0
    images = []
    for value in (0.0, 50.0):
        generator = network()
        clean = waves(20, 26)
        noisy = taught(generator, clean, n_steps=3).clone()
        noisy[..., 7, 9] = value
        generator.prepare(noisy, weights, torch.tensor([0.1]), None)
        images.append(generator())
    assert torch.equal(*images)


def test_noise_in_lessons_has_the_spectrum_of_the_noise():
    generator = network(size=(24, 20))
    taught(generator, torch.zeros(1, 24, 20), spectrum=RED)
    seen = []
    generator.networks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for _ in range(100):
        generator.lesson_loss(0)
    noise = torch.cat(seen)[:, 0]
    neighbors = [noise[..., 1:] * noise[..., :-1], noise[..., 1:, :] * noise[..., :-1, :]]
    white = [float(each.mean() / noise.square().mean()) for each in neighbors]
    assert min(white) > 0.3  # white noise has a correlation of 0
    assert noise.std() == pytest.approx(0.1 / float(generator.unit), rel=0.05)


def test_images_are_computed_in_each_orientation_in_turn():
    generator = network(size=(20, 20))
    taught(generator, waves(20, 20), n_steps=3)
    with torch.no_grad():
        images = [generator() for _ in range(2 * generator.n_orientations)]
    n = generator.n_orientations
    assert n == 8
    assert len({tuple(image.flatten().tolist()) for image in images}) == n
    assert all(torch.equal(first, again) for first, again in zip(images[:n], images[n:], strict=True))


def test_crops_have_all_orientations():
    clean = torch.rand((1, 20, 20), generator=torch.Generator().manual_seed(3))
    generator = network(size=(20, 20))  # a crop is the whole image
    taught(generator, clean, level=1e-9)
    seen = []
    generator.networks[0].register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0]))
    for _ in range(30):
        generator.lesson_loss(0)
    corners = {round(float((crop * generator.unit + generator.center)[0, 0, 1]), 4) for crop in seen}
    expected = {round(float(turned(clean, turn, 2)[0, 0, 1]), 4) for turn in range(8)}
    assert corners == expected


@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_each_orientation_is_another_and_can_be_taken_back(n_axes):
    x = torch.arange(4.0**n_axes).view(*(4,) * n_axes)
    turns = range(2 ** (n_axes + (n_axes > 1)))
    all_turned = [turned(x, turn, n_axes) for turn in turns]
    assert len({tuple(each.flatten().tolist()) for each in all_turned}) == len(turns)
    for turn, each in zip(turns, all_turned, strict=True):
        assert torch.equal(turned_back(each, turn, n_axes), x)


@pytest.mark.parametrize(
    ("size", "blocks", "expected"),
    [
        ((256, 256), (4, 4), (96, 96)),
        ((300, 20), (4, 4), (300, 20)),
        ((2000, 20), (4, 4), (460, 20)),
        ((5, 256, 256), (1, 4, 4), (5, 40, 40)),
        ((9000,), (4,), (9000,)),
        ((7, 9), (4, 4), (7, 8)),
        ((14, 3), (2, 2), (14, 3)),
    ],
)
def test_crops_have_about_the_same_number_of_pixels(size, blocks, expected):
    assert crop_size(size, blocks) == expected


def test_the_noise_must_be_known():
    generator = network()
    with pytest.raises(InputError, match=r"noise's level.*noise\.sigma"):
        generator.prepare(torch.zeros(1, 1, 20, 26), torch.ones(1, 1, 20, 26), None, None)


def test_layers_are_named_and_alive():
    generator = network(n=2)
    taught(generator, waves(20, 26))
    layers = generator.layer_weights()
    assert list(layers) == [*(f"layer {i}" for i in range(1, 9)), "output"]
    assert all(len(each) == 2 for each in layers.values())
    assert generator.dead_fraction() < 1
    torch.nn.init.zeros_(generator.networks[0].down[-1][0].weights)  # the coarsest grid; a skip goes around it
    torch.nn.init.constant_(generator.networks[0].down[-1][0].offset, -1.0)
    assert generator.dead_fraction() < 1
    torch.nn.init.zeros_(generator.networks[1].up[-1].weights)
    assert generator.dead_fraction() == 1


def test_noise_that_is_correlated_along_one_axis_is_turned_with_the_crop():
    generator = network(size=(24, 24))
    along_columns = np.broadcast_to(1 / (1 + 0.5 * np.arange(8.0) ** 2), (8, 8))
    taught(generator, torch.zeros(1, 24, 24), spectrum=along_columns)
    crops, seen = [], []
    crop = generator._crop
    generator._crop = lambda *args: crops.append(crop(*args)) or crops[-1]
    generator.networks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for _ in range(60):
        generator.lesson_loss(0)
    noise = torch.cat(seen)[:, 0]
    upright = torch.stack([turned_back(x, turn, 2) for x, (_, turn) in zip(noise, crops, strict=True)])
    assert len({turn >> 2 for _, turn in crops}) == 2
    power = upright.square().mean()
    assert float((upright[..., 1:] * upright[..., :-1]).mean() / power) > 0.3
    assert abs(float((upright[..., 1:, :] * upright[..., :-1, :]).mean() / power)) < 0.05


def test_a_network_learns_from_several_images_and_passes_on_what_it_has_learned():
    first, second = network(n=2), network(n=2)
    for generator in (first, second):
        taught(generator, waves(20, 26))
    examples = torch.stack([torch.zeros(2, 1, 20, 26), torch.ones(2, 1, 20, 26)], 1)
    first.learn_from(examples)
    assert {float(first._crop(first.examples[0], first.noises[0])[0].mean()) for _ in range(20)} == {0, 1}
    assert (float(first.center), float(first.unit)) == pytest.approx((0.5, 0.5 + 0.1))
    with torch.no_grad():
        for parameter in first.parameters():
            parameter += 0.1
    second.begin_learned(first.learned())
    assert (first.is_settled, second.is_settled) == (False, True)
    assert second.n_lessons == 0
    torch.testing.assert_close(second(), first())
