"""The non-local estimate against a slow twin from the formulas, and what users can rely on."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from napari_convgen.core.noise import shaping_filter
from napari_convgen.core.non_local import chain, estimate, non_local_estimate, non_local_stages, passes, scales
from napari_convgen.core.non_local.patches import Patches
from napari_convgen.core.non_local.plain import PlainPasses

SIZE = (22, 27)

RED = np.exp(-np.add.outer(np.arange(8) ** 2, np.arange(8) ** 2) / 8) + 0.01
RED /= RED.mean()


@pytest.fixture
def small(monkeypatch):
    """Few small patches, and coarser grids for small images, for the twin to keep up."""
    monkeypatch.setitem(chain.FIRST_PATCHES, 2, Patches((1, 5, 5), (0, 6, 5), (1, 3, 3), 6))
    monkeypatch.setitem(chain.PATCHES, 2, Patches((1, 3, 4), (0, 5, 6), (1, 2, 3), 9))
    monkeypatch.setitem(chain.FIRST_PATCHES, 3, Patches((2, 3, 3), (1, 2, 2), (1, 2, 2), 6))
    monkeypatch.setitem(chain.PATCHES, 3, Patches((1, 3, 2), (1, 2, 3), (1, 2, 2), 9))
    monkeypatch.setitem(chain.FIRST_PATCHES, 1, Patches((1, 1, 7), (0, 0, 9), (1, 1, 3), 6))
    monkeypatch.setitem(chain.PATCHES, 1, Patches((1, 1, 5), (0, 0, 9), (1, 1, 3), 7))
    monkeypatch.setattr(chain, "FIRST_STACK_PATCHES", chain.FIRST_PATCHES[3])
    monkeypatch.setattr(chain, "STACK_PATCHES", chain.PATCHES[3])
    monkeypatch.setattr(estimate, "END_SHARE", 0.0)
    monkeypatch.setattr(scales, "LEAST_SIDE", 20)


@pytest.fixture(params=["numba", "plain"])
def backend(request, monkeypatch):
    """What finds, reads and adds up the patches."""
    if request.param == "plain":
        monkeypatch.setattr(chain, "passes_on", lambda device, n_threads: PlainPasses())
    else:
        assert not isinstance(passes.passes_on(torch.device("cpu"), 1), PlainPasses)


def scene(size=SIZE, seed=0):
    """A clean image with edges and a texture, of about 8 noise levels."""
    axes = np.meshgrid(*(np.arange(n) for n in size), indexing="ij")
    wave = np.sin(sum((i + 1) * axis for i, axis in enumerate(axes)) / 3)
    step = sum(axes) > sum(size) / 2
    return 3 * step + wave + np.random.default_rng(seed).normal(size=size) * 0.01


def noisy(size=SIZE, seed=1, spectrum=None):
    noise = np.random.default_rng(seed).normal(size=size)
    if spectrum is not None:
        noise = np.fft.irfft2(np.fft.rfft2(noise) * shaping_filter(spectrum, size[-2:]), size[-2:])
    return scene(size) + noise


def run(image, level=1.0, **options):
    """The estimate of one channel."""
    values = torch.from_numpy(np.asarray(image, np.float32))[None]
    return non_local_estimate(values, torch.tensor([level]), **options)[0].numpy()


# --- the twin: loops over groups, in double precision, from the published formulas -------------------------------------------------


def starts(n, size, stride):
    return sorted({*range(0, n - size + 1, stride), n - size})


def patch(image, place, size):
    return image[tuple(slice(p, p + n) for p, n in zip(place, size, strict=True))].ravel()


def groups(image, patches):
    """The places of each group: the patch itself, then the nearest."""
    ranges = [starts(n, p, s) for n, p, s in zip(image.shape, patches.size, patches.stride, strict=True)]
    for own in itertools.product(*ranges):
        around = itertools.product(
            *(
                range(max(0, o - r), min(n - p, o + r) + 1)
                for o, r, n, p in zip(own, patches.reach, image.shape, patches.size, strict=True)
            )
        )
        mine = patch(image, own, patches.size)
        others = [each for each in around if each != own]
        others.sort(key=lambda each: np.sum((patch(image, each, patches.size) - mine) ** 2))
        yield [own, *others[: patches.n_similar - 1]]


def affine(inverse, factor):
    """I - factor (Q⁻¹ - Q⁻¹ 1 1ᵀ Q⁻¹ / 1ᵀ Q⁻¹ 1): combinations whose weights add up to one."""
    u = inverse.sum(1)
    return np.eye(len(inverse)) - factor * (inverse - np.outer(u, u) / u.sum())


def aggregate(image, patches, places, denoise):
    """The weighted mean, pixel by pixel, of what the groups say."""
    total, weights = np.zeros((2, *image.shape)), np.zeros(image.shape)
    for group in places:
        for place, (pair, weight) in zip(group, denoise(group), strict=True):
            at = tuple(slice(p, p + n) for p, n in zip(place, patches.size, strict=True))
            total[(slice(None), *at)] += weight * np.reshape(pair, (2, *patches.size))
            weights[at] += weight
    return total / weights


def twin(y, covariance=None, n_scales=scales.N_SCALES):
    """The estimate of a volume, all in noise levels."""
    first = chain.FIRST_PATCHES[sum(n > 1 for n in y.shape)].within(y.shape)
    a, k, n = chain.SLACK, first.n_similar, first.n_pixels

    def by_risk(group):
        rows = np.stack([patch(y, place, first.size) for place in group])
        theta = affine(np.linalg.inv(rows @ rows.T + a * n * np.eye(k)), (1 + a) * n)
        weights = 1 / np.clip((theta**2).sum(1), 1 / k, 1)
        return [((x, x), w) for x, w in zip(theta @ rows, weights, strict=True)]

    x, _ = aggregate(y, first, groups(y, first), by_risk)
    patches = chain.PATCHES[sum(n > 1 for n in y.shape)].within(y.shape)
    k, n, z = patches.n_similar, patches.n_pixels, y
    for stage in range(chain.N_STAGES):
        if stage % chain.N_SHARED_MATCHES == 0:
            places = list(groups(z if covariance is None else x, patches))
        left = (1 - (stage + 1) / chain.N_STAGES) * chain.FIRST_NOISE

        def by_ridge(group, z=z, x=x, left=left):
            clean, rows, before = (np.stack([patch(v, place, patches.size) for place in group]) for v in (x, z, y))
            t = max(1 - (before - rows).std(), left, chain.LEAST_LEVEL)
            if covariance is None:
                theta = affine(np.linalg.inv(clean @ clean.T + n * t**2 * np.eye(k)), n * t**2)
                drawn, noise = theta @ rows, (theta**2).sum(1)
            else:
                centered, mean = clean - clean.mean(0), rows.mean(0)
                c = centered.T @ centered / k
                both = c + t**2 * covariance
                both += 4e-6 * np.trace(both) * np.eye(n)
                w = np.linalg.solve(both, c)
                drawn, noise = mean + (rows - mean) @ w, np.full(k, np.trace(w.T @ covariance @ w) / n + 1 / k)
            ratio = left / t
            mixed = (1 - ratio) * drawn + ratio * rows
            weights = 1 / np.clip(noise, 1 / k, 1)
            return [(pair, weight) for *pair, weight in zip(drawn, mixed, weights, strict=True)]

        x, z = aggregate(y, patches, places, by_ridge)
    shape = [(m + 1) // 2 if m >= scales.LEAST_SIDE else m for m in y.shape]
    if n_scales == 1 or shape == list(y.shape):
        return x
    part = tuple(slice(m) for m in shape)
    halved = idctn(dctn(y, norm="ortho")[part], norm="ortho")
    coarse = dctn(twin(halved, covariance, n_scales - 1), norm="ortho")
    u = np.linalg.norm(
        np.meshgrid(*(np.arange(m) / m * (m < w) for m, w in zip(shape, y.shape, strict=True)), indexing="ij"), axis=0
    )
    share = 0.5 + 0.5 * np.cos(np.pi * np.clip((u - 0.5 * 0.75) / (2 * 0.5 * 0.25), 0, 1))
    own = dctn(x, norm="ortho")
    own[part] = share * coarse + (1 - share) * own[part]
    return idctn(own, norm="ortho")


# --- tests --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SIZE, (3, 12, 13), (61,), (21, 4)])
def test_it_is_the_slow_twin(small, backend, size):
    if size[-1] == 4:
        size = (21, 7)
    y = noisy(size)
    expected = twin(y.reshape((1,) * (3 - y.ndim) + y.shape)).reshape(size)
    assert np.abs(run(y) - expected).max() < 2e-3
    assert np.abs(expected - y).max() > 0.5
    if y.ndim == 3:
        assert np.abs(run(y, is_stack=True) - expected).max() < 2e-3


def test_with_correlated_noise_it_is_the_slow_twin(small, backend, monkeypatch):
    monkeypatch.setattr(scales, "LEAST_SIDE", 100)
    y = noisy(spectrum=RED)
    covariance, level = estimate.patch_covariance(RED, chain.PATCHES[2]), estimate.CORRELATED_LEVEL
    assert np.abs(run(y, noise_spectrum=RED) - level * twin(y[np.newaxis] / level, covariance)[0]).max() < 2e-3


def test_the_covariance_of_a_patch_is_that_of_drawn_noise():
    patches = Patches((1, 3, 4), (0, 1, 1), (1, 1, 1), 2)
    noise = np.fft.irfft2(
        np.fft.rfft2(np.random.default_rng(0).normal(size=(512, 512))) * shaping_filter(RED, (512, 512))
    )
    windows = np.lib.stride_tricks.sliding_window_view(noise, (3, 4)).reshape(-1, 12)
    assert np.abs(np.cov(windows.T) - estimate.patch_covariance(RED, patches)).max() < 0.05


@pytest.mark.parametrize("spectrum", [None, RED])
def test_it_takes_noise_away(spectrum):
    clean, y = scene((64, 64)), noisy((64, 64), spectrum=spectrum)
    before, after = (np.mean((each - clean) ** 2) for each in (y, run(y, noise_spectrum=spectrum)))
    assert after < before / (8 if spectrum is None else 1.5)


def test_knowing_the_spectrum_is_better_than_taking_the_noise_for_white():
    clean, y = scene((64, 64)), noisy((64, 64), spectrum=RED)
    as_white, as_is = (np.mean((run(y, noise_spectrum=each) - clean) ** 2) for each in (None, RED))
    assert as_is < 0.8 * as_white


@pytest.mark.parametrize("depth", [4, 12])
def test_a_volume_is_better_than_its_planes_at_the_ends_too(depth):
    rng = np.random.default_rng(depth)
    clean = gaussian_filter(rng.standard_normal((depth + 16, 56, 56)), (2, 3, 3))[8:-8, 8:-8, 8:-8]
    clean = torch.from_numpy(4 * (clean - clean.min()) / np.ptp(clean) / 0.4).float()
    noisy = clean + torch.from_numpy(rng.standard_normal(clean.shape)).float()
    whole = non_local_estimate(noisy[None], torch.ones(1))[0]
    planes = torch.stack([non_local_estimate(plane[None], torch.ones(1))[0] for plane in noisy])
    one, other = (((estimate - clean) ** 2).mean((1, 2)) for estimate in (whole, planes))
    assert (one < other).all()
    assert float(one.mean()) < 0.7 * float(other.mean())


def test_the_ends_of_a_volume_lose_less_than_they_must_by_its_blocks_alone(monkeypatch):
    rng = np.random.default_rng(0)
    clean = gaussian_filter(rng.standard_normal((21, 56, 56)), (1.2, 2, 2))[8:-8, 4:-4, 4:-4]
    clean = 4 * clean / clean.std() * (np.abs(clean) > clean.std())
    y = (clean + rng.standard_normal(clean.shape)).astype(np.float32)
    errors = []
    for share in (0.0, estimate.END_SHARE):
        monkeypatch.setattr(estimate, "END_SHARE", share)
        errors.append(((run(y) - clean) ** 2).mean((1, 2)))
    before, after = errors
    assert after[[0, -1]].mean() < 0.93 * before[[0, -1]].mean()
    assert np.array_equal(after[1:-1], before[1:-1])


def test_units_do_not_matter():
    y = noisy((40, 40))
    assert np.allclose(run(50 * y + 1000, 50.0), 50 * run(y) + 1000, atol=0.2)


def test_channels_without_noise_stay_and_others_are_on_their_own():
    y = torch.from_numpy(np.stack([noisy((40, 40), seed) for seed in range(3)]).astype(np.float32))
    image = non_local_estimate(y, torch.tensor([1.0, 0.0, math.nan]))
    assert torch.equal(image[1:], y[1:])
    assert np.array_equal(image[0].numpy(), run(y[0].numpy()))


def test_joint_channels_are_matched_in_the_first_one():
    y = torch.from_numpy(np.stack([noisy((40, 40), seed) for seed in range(2)]).astype(np.float32))
    level = torch.ones(2)
    joint, alone = (non_local_estimate(y, level, is_joint=is_joint) for is_joint in (True, False))
    assert torch.equal(joint[0], alone[0])
    assert not torch.equal(joint[1], alone[1])


def test_missing_pixels_get_the_structure_around_them():
    clean, y = scene((64, 64)), noisy((64, 64))
    is_observed = np.random.default_rng(2).random((64, 64)) > 0.2
    filled = np.where(is_observed, y, y[is_observed].mean())
    image, blind = (run(filled, is_observed=each) for each in (torch.from_numpy(is_observed)[None], None))
    errors = [np.mean((each - clean)[~is_observed] ** 2) for each in (image, blind)]
    assert errors[0] < 0.7 * errors[1]
    columns_first = torch.from_numpy(np.asfortranarray(is_observed))[None]
    assert np.array_equal(run(filled, is_observed=columns_first), image)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (5,), (1, 30), (3, 3, 3), (1, 40, 40)])
def test_any_size_will_do(size):
    y = noisy(size)
    image = run(y)
    assert image.shape == size
    assert np.isfinite(image).all()


def test_a_constant_region_larger_than_a_group_is_covered():
    y = noisy((48, 48)).astype(np.float32)
    y[:, :30] = 2
    assert np.isfinite(run(y)).all()
    assert np.abs(run(y)[:, :20] - 2).max() < 0.2


def test_stages_show_an_image_at_once_and_count_up_to_the_end():
    values = torch.from_numpy(noisy((100, 100)).astype(np.float32))[None]
    stages = list(non_local_stages(values, torch.ones(1)))
    shares = [stage.share for stage in stages]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert torch.equal(stages[-1].image, non_local_estimate(values, torch.ones(1)))
    clean = scene((100, 100))
    errors = [np.mean((stage.image[0].numpy() - clean) ** 2) for stage in stages]
    assert errors[0] < 0.5
    assert errors[-1] < errors[0]


def test_the_number_of_threads_changes_nothing():
    y = noisy((80, 80))
    before = torch.get_num_threads()
    try:
        images = []
        for n in (1, 3):
            torch.set_num_threads(n)
            images.append(run(y))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [1e-5, 1e-3])
def test_noise_far_below_the_range_gives_no_impossible_values(backend, level, dtype):
    image = scene((24, 30))
    image[4, 5] = 60.0  # one bright pixel makes the range, as in many images of cameras
    y = torch.from_numpy(image + level * np.random.default_rng(0).normal(size=image.shape)).to(dtype)[None]
    found = non_local_estimate(y, torch.tensor([level], dtype=dtype))
    assert (found - y).abs().max() < (0.1 if dtype == torch.float32 else 6 * level)


def test_values_that_are_not_finite_have_no_places_outside_the_image(backend):
    image = torch.from_numpy(noisy()).float()[None]
    image[0, 3:9, 4:9] = math.nan
    places = chain.passes_on(torch.device("cpu"), 1).match(image, Patches((1, 3, 4), (0, 5, 6), (1, 2, 3), 9))
    rows, columns = places[:, 0] // image.shape[2], places[:, 0] % image.shape[2]
    is_spoiled = torch.stack([image[0, y : y + 3, x : x + 4].isnan().any() for y, x in zip(rows, columns, strict=True)])
    assert 0 < is_spoiled.sum() < len(places)
    assert torch.equal(places[is_spoiled], places[is_spoiled][:, :1].expand(-1, 9))  # each its own
    assert places.min() >= 0
    assert places.max() < image.numel()
