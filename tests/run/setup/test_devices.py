import logging
import math
import sys
import types

import numpy as np
import pytest
import torch

from napari_convgen.config import Config
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.errors import DeviceError
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.setup import devices
from napari_convgen.run.setup.devices import (
    is_installed,
    resolve_backend,
    resolve_device,
    resolve_threads,
)

QUICK = Config().replace({"generator.n_channels": 16, "n_steps": 150, "stopping.kind": "fixed", "device": "cpu"})


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


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Make Python find the named packages of Numba and Triton, and only those; they must not be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def set_up(*names):
        for name in ("numba", "triton"):
            if name in names:
                (tmp_path / f"{name}.py").write_text("raise AssertionError\n")
                monkeypatch.delitem(sys.modules, name, raising=False)
            else:
                monkeypatch.setitem(sys.modules, name, None)

    return set_up


@pytest.fixture
def noisy():
    y, x = np.mgrid[-1:1:40j, -1:1:37j]
    clean = np.exp(-4 * (x**2 + y**2))
    return (clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)


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


@pytest.mark.parametrize("name", ["numba", "triton"])
def test_a_package_is_found_without_being_imported(packages, name):
    packages(name)
    assert is_installed(name)
    assert name not in sys.modules
    packages()
    assert not is_installed(name)


@pytest.mark.parametrize(
    ("device", "installed", "expected"),
    [
        ("cpu", ("numba", "triton"), "numba"),
        ("cpu", ("triton",), "torch"),
        ("cuda", ("numba", "triton"), "triton"),
        ("cuda:1", ("triton",), "triton"),
        ("cuda", ("numba",), "torch"),
        ("mps", ("numba", "triton"), "torch"),
    ],
)
def test_auto_takes_the_fastest_backend_that_is_installed_for_the_device(packages, device, installed, expected, caplog):
    packages(*installed)
    with caplog.at_level(logging.INFO):
        assert resolve_backend("auto", torch.device(device)) == expected
    assert caplog.messages == [f"The generator is computed by {expected} on {device}."]


@pytest.mark.parametrize(
    ("name", "device"),
    [("numba", "cpu"), ("triton", "cuda"), ("torch", "cpu"), ("torch", "cuda"), ("torch", "mps")],
)
def test_a_backend_that_runs_on_the_device_is_taken(packages, name, device):
    packages("numba", "triton")
    assert resolve_backend(name, torch.device(device)) == name


@pytest.mark.parametrize(
    ("name", "runs_on", "device"),
    [("triton", "cuda", "cpu"), ("triton", "cuda", "mps"), ("numba", "cpu", "cuda:1"), ("numba", "cpu", "mps")],
)
def test_a_backend_for_other_devices_is_refused(packages, name, runs_on, device):
    packages("numba", "triton")
    sentence = rf"^The backend '{name}' runs on {runs_on}, not on the device '{device}'\. Choose 'auto' or 'torch'\.$"
    with pytest.raises(DeviceError, match=sentence):
        resolve_backend(name, torch.device(device))


@pytest.mark.parametrize(("name", "device"), [("numba", "cpu"), ("triton", "cuda")])
def test_a_backend_that_is_not_installed_is_refused(packages, name, device):
    packages()
    with pytest.raises(DeviceError, match=rf"^The backend '{name}' is not installed\. Install .* or choose 'auto'\.$"):
        resolve_backend(name, torch.device(device))


def test_spared_threads_are_left_to_others_but_one_is_kept():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert [resolve_threads("auto", n_spared) for n_spared in (0, 1, 2, 3, 9)] == [3, 2, 1, 1, 1]
        assert resolve_threads(3, 2) == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("order", ["relu-norm", "norm-relu"])
def test_a_run_gives_nearly_the_same_image_by_either_backend(noisy, order):
    plain, fused = (
        denoise(noisy, QUICK.replace({"backend": backend, "generator.order": order})) for backend in ("torch", "numba")
    )
    assert (plain.backend, fused.backend) == ("torch", "numba")
    assert (plain.report()["backend"], fused.report()["backend"]) == ("torch", "numba")
    assert fused.frames[0].loss[0] == pytest.approx(plain.frames[0].loss[0], rel=1e-5)
    assert fused.frames[0].loss[20] == pytest.approx(plain.frames[0].loss[20], rel=1e-2)
    assert psnr(fused.image, plain.image, 1) > 35
    assert psnr(fused.image, noisy, 1) < psnr(fused.image, plain.image, 1) - 10  # Either takes noise away.


def test_auto_computes_by_numba_on_the_cpu(noisy):
    assert denoise(noisy, QUICK, n_steps=2).report()["backend"] == "numba"


@pytest.mark.parametrize("kind", ["deep-decoder", "skip-network"])
@pytest.mark.parametrize(("backend", "n_notes"), [("auto", 1), ("torch", 0)])
def test_without_numba_pytorch_computes_and_only_who_did_not_ask_for_it_is_told(
    packages, noisy, backend, n_notes, kind
):
    packages()
    result = denoise(noisy, QUICK.replace({"backend": backend, "generator.kind": kind}), n_steps=2)
    assert result.report()["backend"] == "torch"
    assert [note for note in result.notes if note.startswith("numba is not available")] == list(result.notes)
    assert len(result.notes) == n_notes


def test_a_run_by_triton_on_the_cpu_is_refused_before_it_starts(noisy):
    with pytest.raises(
        DeviceError, match=r"'triton' runs on cuda, not on the device 'cpu'\. Choose 'auto' or 'torch'\."
    ):
        denoise(noisy, QUICK.replace({"backend": "triton"}))


def test_a_run_with_bfloat16_fits_as_well(noisy):
    single, half = (denoise(noisy, QUICK.replace({"precision": precision})) for precision in ("float32", "bfloat16"))
    (one,), (other,) = single.frames, half.frames
    assert one.loss[0] != other.loss[0] == pytest.approx(one.loss[0], rel=1e-2)
    assert all(map(math.isfinite, other.loss))
    assert other.loss[-1] == pytest.approx(one.loss[-1], rel=0.1)
    assert psnr(half.image, single.image, 1) > 30


@pytest.mark.parametrize(
    ("libraries", "is_kept_out"),
    [("/usr/lib/libLLVM-15.so.1", True), ("/usr/lib/libGLX_nvidia.so", False), (None, False)],
)
def test_triton_is_kept_out_where_another_llvm_would_make_it_crash(tmp_path, monkeypatch, libraries, is_kept_out):
    monkeypatch.setitem(sys.modules, "triton", None)  # notes what was there, to put it back
    monkeypatch.delitem(sys.modules, "triton")
    maps = tmp_path / "maps"
    if libraries is not None:
        maps.write_text(f"7f00-7f01 r-xp 0 08:01 42 {libraries}\n")
    devices.keep_triton_out(maps)
    assert ("triton" in sys.modules) == is_kept_out
    if is_kept_out:
        assert not devices.is_installed("triton")
        with pytest.raises(ImportError):
            import triton  # noqa: F401


def test_triton_stays_where_it_is_loaded_already(tmp_path, monkeypatch):
    there = types.ModuleType("triton")
    monkeypatch.setitem(sys.modules, "triton", there)
    (tmp_path / "maps").write_text("/usr/lib/libLLVM-15.so.1")
    devices.keep_triton_out(tmp_path / "maps")
    assert sys.modules["triton"] is there
