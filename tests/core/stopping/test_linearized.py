import pytest
import torch
from torch import nn

from napari_convgen.core.generators import DeepDecoder, Generator
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping.linearized import LinearizedDynamics
from napari_convgen.core.stopping.rule import Iterate
from napari_convgen.errors import ConfigError


class LinearModel(Generator):
    """An image that is a linear function of the parameters: coarse waves that move fast, fine ones that do not."""

    def __init__(self, n=24):
        super().__init__()
        waves = torch.cos(torch.outer(torch.arange(n) + 0.5, torch.arange(n)) * torch.pi / n).double()
        waves = waves / waves.norm(dim=0) * 0.75 ** torch.arange(n)
        self.waves = waves
        self.parameter = nn.Parameter(torch.zeros(n, n, dtype=torch.float64))

    def forward(self):
        return (self.waves @ self.parameter @ self.waves.T)[None]


def problem_of(sigma=0.2, n=24):
    axis = torch.linspace(-1, 1, n, dtype=torch.float64)
    truth = (axis[:, None] ** 2 + 0.5 * axis).exp()[None] / 3
    noise = torch.randn((1, n, n), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return truth, Problem(truth + sigma * noise, torch.ones_like(truth), torch.tensor([sigma], dtype=torch.float64))


def begun(problem, net, **options):
    rule = LinearizedDynamics(net, **options)
    rule.begin(problem, rule.members(problem, 1, torch.Generator().manual_seed(1)))
    return rule


def descend(rule, problem, net, optimizer, n_steps):
    """Fit; return the images of all steps, and the last judgment."""
    steps, images = [], []
    for step in range(1, n_steps + 1):
        image = net().view(problem.measurement.shape)
        loss = ((image - problem.measurement) ** 2)[problem.weights > 0].mean()
        images.append(image.detach().clone())
        rule.observe(Iterate(step, loss.detach(), image.detach()[None], image.detach()[None], True))
        optimizer.zero_grad()
        (loss * problem.measurement.numel() / 2).backward()
        optimizer.step()
        steps.append(step)
        judgment = rule.judge(steps)
        if judgment.reason is not None:
            break
    return images, judgment


def test_it_predicts_the_best_step_of_a_linear_model_under_gradient_descent():
    truth, problem = problem_of()
    net = LinearModel()
    rule = begun(problem, net)
    images, judgment = descend(rule, problem, net, torch.optim.SGD(net.parameters(), lr=0.8), 400)
    errors = [float(((image - truth) ** 2).mean()) for image in images]
    assert errors[judgment.step - 1] < 1.15 * min(errors)
    first, last = judgment.interval
    assert first <= 1 + errors.index(min(errors)) <= last
    assert judgment.reason.outcome is Outcome.RULE


def test_predicted_losses_are_those_of_gradient_descent_on_a_decoder():
    _, problem = problem_of()
    net = DeepDecoder(
        (24, 24),
        1,
        n_channels=48,
        n_scales=2,
        rngs=[torch.Generator().manual_seed(0)],
        order="norm-relu",
        dtype=torch.float64,
    )
    descent = begun(problem, net).descent
    optimizer = torch.optim.SGD(net.parameters(), lr=descent.rate / 4)
    losses = {}
    for step in range(4 * 20 + 1):
        loss = ((net() - problem.measurement) ** 2).sum() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[step / 4] = 2 * float(loss.detach()) / problem.measurement.numel()
    actual = [losses[step] for step in range(1, 21)]
    assert descent.loss[:20].tolist() == pytest.approx(actual, rel=0.12)


def test_adam_is_stopped_by_its_loss_with_an_error_near_the_least():
    truth, problem = problem_of()
    net = DeepDecoder(
        (24, 24),
        1,
        n_channels=16,
        n_scales=2,
        rngs=[torch.Generator().manual_seed(0)],
        order="norm-relu",
        dtype=torch.float64,
    )
    rule = begun(problem, net)
    images, judgment = descend(rule, problem, net, torch.optim.Adam(net.parameters(), lr=0.01), 600)
    errors = [float(((image - truth) ** 2).mean()) for image in images]
    assert errors[judgment.step - 1] < 1.4 * min(errors)


def test_missing_pixels_do_not_count():
    _, problem = problem_of()
    weights = problem.weights.clone()
    weights[:, 5:9] = 0
    wild = torch.where(weights > 0, problem.measurement, 1e3)
    one, other = (
        begun(Problem(y, weights, problem.noise_level), LinearModel()).descent for y in (problem.measurement, wild)
    )
    assert torch.equal(one.loss, other.loss)
    assert torch.equal(one.freedom, other.freedom)
    assert float(one.freedom.max()) <= 24 * 20 * 1.0001


def test_a_best_step_beyond_the_predicted_ones_is_left_open():
    _, problem = problem_of(sigma=0.001)
    net = LinearModel()
    rule = begun(problem, net, n_products=5)
    _, judgment = descend(rule, problem, net, torch.optim.SGD(net.parameters(), lr=0.8), 60)
    assert judgment.step == 60
    assert judgment.reason is None
    assert judgment.interval is None


def test_a_generator_of_another_size_is_refused():
    _, problem = problem_of()
    with pytest.raises(ConfigError, match=r"expected \(1, 24, 24\), got \(1, 20, 20\)"):
        begun(problem, LinearModel(20))


def test_without_a_noise_level_it_says_so():
    _, problem = problem_of()
    with pytest.raises(ConfigError, match="'linearized' needs the level of the noise"):
        begun(Problem(problem.measurement, problem.weights), LinearModel())
