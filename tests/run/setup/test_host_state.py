"""Whatever the host program has set, a run gives the same numbers and leaves the setting as it was."""

import contextlib
import timeit
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch

from napari_convgen.config import Config
from napari_convgen.run.compare.run import CompareTask
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.image_vs_noise.run import CompareFitsTask
from napari_convgen.run.kernels.run import KernelChoice, explore
from napari_convgen.run.setup.host_state import isolated, with_isolation
from napari_convgen.run.spectrum.run import SpectrumTask

QUICK = Config().replace(
    {"generator.n_channels": 4, "generator.n_scales": 3, "n_steps": 6, "device": "cpu", "n_threads": 1}
)
PLAIN = QUICK.replace({"backend": "torch"})


@contextlib.contextmanager
def changed(change, value, before):
    change(value)
    try:
        yield
    finally:
        change(before)


STATES = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "double precision": lambda: changed(torch.set_default_dtype, torch.float64, torch.float32),
    "half precision": lambda: changed(torch.set_default_dtype, torch.float16, torch.float32),
    "no device": lambda: changed(torch.set_default_device, "meta", None),
    "a device for a while": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast on a GPU": lambda: changed(lambda on: torch.set_autocast_enabled("cuda", on), True, False),
    "NumPy raises": lambda: np.errstate(all="raise"),
    "only deterministic": lambda: changed(torch.set_deterministic_debug_mode, "error", "default"),
    "better deterministic": lambda: changed(torch.set_deterministic_debug_mode, "warn", "default"),
    "anomaly detection": lambda: changed(torch.autograd.set_detect_anomaly, True, False),
    "coarse products": lambda: changed(torch.set_float32_matmul_precision, "medium", "highest"),
    "more threads": lambda: changed(torch.set_num_threads, 3, torch.get_num_threads()),
    "warnings are errors": lambda: pytest.MonkeyPatch.context(),  # pytest's own filter, see pyproject.toml
    "global seeds": lambda: changed(seed_all, 7, 0),
}


def seed_all(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def settings():
    """All that a host can see of its settings."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "inference": torch.is_inference_mode_enabled(),
        "gradients": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "autocast": [torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")],
        "autocast type": torch.get_autocast_dtype("cpu"),
        "NumPy": np.geterr(),
        "deterministic": torch.get_deterministic_debug_mode(),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "products": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
        "warnings": list(warnings.filters),
        # Not Python's own: beartype draws from it, which checks types while tests task.
        "seeds": [torch.get_rng_state().tolist(), name, keys.tolist(), rest],
    }


@contextlib.contextmanager
def all_at_once():
    with contextlib.ExitStack() as stack:
        for name in STATES.keys() - {"half precision", "better deterministic", "a device for a while"}:
            stack.enter_context(STATES[name]())
        yield


def noisy(shape=(24, 20)):
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    clean = np.exp(-4 * (x**2 + y**2))
    return (clean + 0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


IMAGE = noisy()


def denoised(config):
    before = settings()
    task = DenoiseTask(IMAGE, config, reference=IMAGE)
    assert settings() == before
    task.forecast()
    assert settings() == before
    for progress in task:
        assert settings() == before
        preview = task.preview()
        assert preview is not None
        assert progress.step == 0 or np.isfinite(preview).all()
    result = task.result()
    report = result.report()
    assert settings() == before
    [frame] = result.frames
    return result.image.tobytes(), frame.loss, frame.criterion, frame.step, frame.noise, report["psnr"]


@pytest.fixture(scope="module")
def clean_run():
    """What a run gives where nothing is set."""
    denoise(IMAGE, PLAIN)  # whose first imports add to Python's filters of warnings
    return denoised(PLAIN)


@pytest.mark.parametrize("state", STATES)
def test_a_setting_of_the_host_neither_changes_a_run_nor_is_changed(state, clean_run):
    with STATES[state]():
        assert denoised(PLAIN) == clean_run


def fused_decoder():
    return denoised(QUICK)


def skip_network():
    config = QUICK.replace({"generator.kind": "skip-network", "generator.dropout": 0.3, "generator.input_noise": 0.1})
    return denoised(config)


def guided_network():
    return denoised(QUICK.replace({"generator.kind": "guided-network"}))


def sure():
    return denoised(QUICK.replace({"stopping.kind": "sure"}))


def fits():
    task = CompareFitsTask(IMAGE, QUICK, reference=IMAGE)
    task.forecast()
    before = settings()
    for _ in task:
        assert settings() == before
    result = task.result()
    assert settings() == before
    return [(target.values.tobytes(), target.losses.tolist(), target.distances.tolist()) for target in result.targets]


def spectra():
    config = QUICK.replace({"generator.n_scales": 2})
    task = SpectrumTask(IMAGE[:12, :12], config, rank=2, n_passes=1, at_steps=(0, 2))
    task.forecast()
    before = settings()
    for _ in task:
        assert settings() == before
    result = task.result()
    assert settings() == before
    return [(s.singular_values.tolist(), s.sensitivity.tobytes()) for s in result.spectra], result.spectra[
        0
    ].descent.risk.tolist()


def comparison():
    task = CompareTask(IMAGE, QUICK, reference=IMAGE)
    before = settings()
    for _ in task:
        assert settings() == before
    result = task.result()
    assert settings() == before
    return [(method.image.tobytes(), method.scores, method.error) for method in result.methods]


def exploration():
    before = settings()
    found = explore(KernelChoice("triangle"), 30, IMAGE)
    drawn = found.prediction.denoise(10.0)
    assert settings() == before
    return found.image_filter.weights.tobytes(), found.prediction.errors.tobytes(), drawn.tobytes()


@pytest.mark.parametrize(
    "verb", [fused_decoder, skip_network, guided_network, sure, fits, spectra, comparison, exploration]
)
@pytest.mark.usefixtures("clean_run")
def test_no_verb_minds_all_settings_at_once(verb):
    expected = verb()
    with all_at_once():
        assert verb() == expected


def test_a_callback_finds_the_host_s_settings():
    found = []
    with all_at_once():
        before = settings()
        denoise(IMAGE, QUICK, callback=lambda _: found.append(settings() == before))
    assert found
    assert all(found)


def test_steps_run_on_their_threads_and_the_host_keeps_its_own():
    def steps():
        for _ in range(2):
            yield torch.get_num_threads()
        raise ZeroDivisionError

    before = torch.get_num_threads()
    taken = with_isolation(steps(), before + 1)
    for _ in range(2):
        assert next(taken) == before + 1
        assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        next(taken)
    assert torch.get_num_threads() == before


def test_the_end_of_the_steps_is_the_end():
    assert list(with_isolation(iter("abc"), torch.get_num_threads())) == ["a", "b", "c"]


def test_settings_come_back_after_an_error():
    @isolated(5)
    def fail():
        found.append(settings())
        raise ZeroDivisionError

    found = []
    with all_at_once():
        before = settings()
        with pytest.raises(ZeroDivisionError):
            fail()
        assert settings() == before
    [inside] = found
    assert inside != before
    assert inside["threads"] == 5


def test_the_last_of_two_runs_in_two_threads_puts_the_settings_back():
    both_in, one_out = Barrier(2, timeout=60), Barrier(2, timeout=60)

    def run(is_first):
        with isolated():
            both_in.wait()
            if not is_first:
                one_out.wait()
            dtype = torch.get_default_dtype()
        if is_first:
            one_out.wait()
        return dtype

    with STATES["double precision"](), ThreadPoolExecutor(2) as threads:
        assert list(threads.map(run, [True, False])) == [torch.float32] * 2
        assert torch.get_default_dtype() == torch.float64


def test_a_setting_that_is_changed_meanwhile_stays_changed():
    with STATES["double precision"]():
        with isolated():
            torch.set_float32_matmul_precision("high")
        assert torch.get_float32_matmul_precision() == "high"
        torch.set_float32_matmul_precision("highest")


def test_tensors_of_a_run_can_be_differentiated_in_inference_mode():
    with torch.inference_mode():
        with isolated():
            weight = torch.ones(2, requires_grad=True)
            (weight**2).sum().backward()
        assert weight.grad.tolist() == [2, 2]


def test_it_costs_next_to_nothing():
    steps = 2000
    seconds = min(timeit.repeat(lambda: list(with_isolation(iter(range(steps)), 1)), number=1, repeat=3)) / steps
    assert seconds < 200e-6  # about 15 µs; a step takes a millisecond or more
