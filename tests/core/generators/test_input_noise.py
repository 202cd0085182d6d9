import pytest
import torch

from napari_convgen.core.generators.input_noise import STRIDE, Dropout, GaussianDraws, InputNoise, mix


def noise(sd=0.5, *, seed=0):
    return InputNoise(sd, torch.Generator().manual_seed(seed))


def test_the_hash_is_splitmix64():
    states = 1234567 + torch.arange(1, 6) * STRIDE
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [x % 2**64 for x in mix(states).tolist()] == published


def test_draws_are_white_and_uniform_with_the_standard_deviation_asked_for():
    x = torch.zeros(101, 203, dtype=torch.float64)
    source = noise(0.5)
    draws = torch.stack([source(x) for _ in range(3)])
    n = draws.numel()
    assert abs(draws.mean()) < 4 * 0.5 / n**0.5
    assert draws.std() == pytest.approx(0.5, rel=0.01)
    assert draws.abs().max() <= 0.5 * 3**0.5
    assert (draws**4).mean() / (draws**2).mean() ** 2 == pytest.approx(9 / 5, rel=0.02)
    spectrum = torch.fft.rfftn(draws).abs() ** 2 / (0.25 * n)
    assert spectrum.max() < 20  # of exponential variables of mean 1: e**-20 * n is far below 1
    assert spectrum.mean() == pytest.approx(1, rel=0.05)


def test_each_draw_is_fresh_and_leaves_the_tensor_as_it_was():
    source, x = noise(), torch.ones(4, 5)
    assert not torch.equal(source(x), source(x))
    assert (x == 1).all()


def test_equal_seeds_draw_alike_and_others_do_not():
    x = torch.zeros(4, 5)
    one, same, other = noise(), noise(), noise(seed=1)
    for _ in range(3):
        assert torch.equal(draw := one(x), same(x))
        assert not torch.equal(draw, other(x))


def test_a_restored_state_draws_on_bit_for_bit():
    source, x = noise(), torch.zeros(7)
    source(x)
    state = {name: value.clone() for name, value in source.state_dict().items()}
    expected = [source(x) for _ in range(2)]
    other = noise(seed=5)
    other.load_state_dict(state)
    assert all(torch.equal(other(x), draw) for draw in expected)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_sets_its_share_to_zero_and_keeps_the_mean(share):
    dropout = Dropout(share, torch.Generator().manual_seed(0))
    x = torch.full((301, 203), 3.0, dtype=torch.float64, requires_grad=True)
    dropped = dropout(x)
    is_kept = dropped > 0
    in_steps = round(256 * share) / 256
    assert is_kept.double().mean() == pytest.approx(1 - in_steps, abs=4 * 0.5 / x.numel() ** 0.5)
    torch.testing.assert_close(dropped[is_kept], x[is_kept] / (1 - in_steps))
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped.detach() / 3)
    assert not torch.equal(dropped, dropout(x))


@pytest.mark.parametrize("make", [InputNoise, Dropout])
@pytest.mark.parametrize(("amount", "is_training"), [(0, True), (0.5, False)])
def test_without_noise_nothing_is_drawn(make, amount, is_training):
    source, x = make(amount, torch.Generator()).train(is_training), torch.zeros(3)
    assert source(x) is x
    assert source.n_draws == 0


def test_gaussian_noise_has_the_moments_of_a_gaussian_and_no_memory():
    noise = GaussianDraws(torch.Generator().manual_seed(0))
    first, second = noise(torch.empty(400, 500)), noise(torch.empty(400, 500))
    n = first.numel()
    assert abs(first.mean()) < 4 / n**0.5
    assert abs(first.var() - 1) < 4 * (2 / n) ** 0.5
    assert abs((first**3).mean()) < 4 * (15 / n) ** 0.5
    assert abs((first**4).mean() - 3) < 4 * (96 / n) ** 0.5
    for a, b in ((first, second), (first[:, 1:], first[:, :-1]), (first[1:], first[:-1])):
        assert abs((a * b).mean()) < 4 / n**0.5
