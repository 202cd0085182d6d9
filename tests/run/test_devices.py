import pytest
import torch

from napari_convgen.errors import DeviceError
from napari_convgen.run.devices import resolve_device, resolve_threads, with_threads


@pytest.fixture
def machine(monkeypatch):
    """Make PyTorch find the devices that are named, and only those."""

    def set_up(*kinds, n_cuda=1):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in kinds)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n_cuda)
        monkeypatch.setattr(torch.version, "cuda", "13.0" if "cuda" in kinds or "no driver" in kinds else None)
        monkeypatch.setattr(torch.version, "hip", None)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)
        monkeypatch.setattr(torch.backends.mps, "is_built", lambda: "mps" in kinds or "no apple" in kinds)

    return set_up


@pytest.mark.parametrize(
    ("kinds", "expected"), [(("cuda", "mps"), "cuda"), (("cuda",), "cuda"), (("mps",), "mps"), ((), "cpu")]
)
def test_auto_takes_cuda_then_mps_then_the_cpu(machine, kinds, expected):
    machine(*kinds)
    assert resolve_device("auto") == torch.device(expected)


@pytest.mark.parametrize("name", ["cpu", "mps", "cuda", "cuda:1"])
def test_a_device_that_is_there_is_taken(machine, name):
    machine("cuda", "mps", n_cuda=2)
    assert resolve_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("kinds", "name", "reason"),
    [
        ((), "cuda", "is built without CUDA"),
        (("no driver",), "cuda", "PyTorch finds no CUDA driver or GPU"),
        (("cuda",), "cuda:3", "there are only 1 CUDA devices, numbered from 0"),
        (("cuda",), "cuda:99999999999", ""),
        ((), "mps", "is built without MPS"),
        (("no apple",), "mps", "this machine has no Apple GPU that PyTorch can use"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_the_reason(machine, kinds, name, reason):
    machine(*kinds)
    with pytest.raises(
        DeviceError, match=rf"^The device '{name}' is not available: .*{reason}.*Choose 'auto' or 'cpu'\."
    ):
        resolve_device(name)


def test_auto_leaves_the_number_of_threads_to_pytorch():
    assert resolve_threads("auto") == torch.get_num_threads()
    assert resolve_threads(3) == 3


def test_steps_run_on_their_threads_and_the_caller_keeps_its_own():
    def steps():
        for _ in range(2):
            yield torch.get_num_threads()
        raise ZeroDivisionError

    before = torch.get_num_threads()
    taken = with_threads(steps(), before + 1)
    for _ in range(2):
        assert next(taken) == before + 1
        assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        next(taken)
    assert torch.get_num_threads() == before


def test_the_end_of_the_steps_is_the_end():
    assert list(with_threads(iter("abc"), torch.get_num_threads())) == ["a", "b", "c"]
