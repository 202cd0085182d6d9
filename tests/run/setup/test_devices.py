import importlib.util
import logging
import math
import re
import sys
import types

import numpy as np
import pytest
import torch

from napari_convgen.config import Config
from napari_convgen.core.cpu import compiled
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.errors import DeviceError
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.setup import devices
from napari_convgen.run.setup.devices import (
    resolve_backend,
    resolve_device,
    resolve_threads,
    why_unusable,
)

QUICK = Config().replace({"generator.n_channels": 16, "n_steps": 80, "stopping.kind": "fixed", "device": "cpu"})


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
    """Make Python find the named packages of Numba and Triton, and only those; importing them runs the code that is given."""
    monkeypatch.syspath_prepend(tmp_path)
    real = importlib.util.find_spec

    def set_up(*names, code=""):
        for name in ("numba", "triton"):
            monkeypatch.setitem(sys.modules, name, None)  # notes what was there, to put it back
            monkeypatch.delitem(sys.modules, name)
            (tmp_path / f"{name}.py").write_text(code)
        is_hidden = {"numba", "triton"}.difference(names).__contains__
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if is_hidden(name) else real(name))

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
def test_a_backend_can_be_used_if_its_package_can_be_loaded(packages, name):
    packages(name)
    assert why_unusable(name) is None
    packages()
    assert why_unusable(name) == "it is not installed"
    sys.modules[name] = None
    assert why_unusable(name) == "it is kept from being loaded"


FAILURES = {
    "raise ImportError('Numba needs NumPy 2.5 or less. Got NumPy 2.6.')": "Numba needs NumPy 2.5 or less. Got NumPy 2.6",
    "import llvmlite_that_is_missing": "No module named 'llvmlite_that_is_missing'",
    "raise SystemError('initialization of _internal failed\\n  without raising')": "initialization of _internal failed without raising",
    "raise AttributeError": "AttributeError",
}


@pytest.mark.parametrize("code", FAILURES)
def test_a_backend_that_fails_to_load_is_not_used_and_the_report_says_why(packages, noisy, code):
    packages("numba", "triton", code=code)
    result = denoise(noisy, QUICK, n_steps=2)
    assert result.backend == "torch"
    reason = f"it cannot be loaded: {FAILURES[code]}"
    assert result.notes == (
        f"numba is not available ({reason}): plain PyTorch computed the fit, several times slower.",
    )
    assert result.image.tobytes() == denoise(noisy, QUICK.replace({"backend": "torch"}), n_steps=2).image.tobytes()
    with pytest.raises(DeviceError, match=f"^The backend 'numba' cannot be used: {re.escape(reason)}. Install"):
        denoise(noisy, QUICK.replace({"backend": "numba"}))


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
    with pytest.raises(
        DeviceError, match=rf"^The backend '{name}' cannot be used: it is not installed\. Install .*'auto'\.$"
    ):
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


def test_the_report_names_trouble_with_compiled_code(monkeypatch, noisy):
    monkeypatch.setattr(compiled, "_troubles", {"The disk is full.": None})
    for backend, notes in [("numba", ("The disk is full.",)), ("torch", ())]:
        assert denoise(noisy, QUICK.replace({"backend": backend}), n_steps=2).notes == notes


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
        assert why_unusable("triton") == "it is kept from being loaded"
        with pytest.raises(ImportError):
            import triton  # noqa: F401


def test_triton_stays_where_it_is_loaded_already(tmp_path, monkeypatch):
    there = types.ModuleType("triton")
    monkeypatch.setitem(sys.modules, "triton", there)
    (tmp_path / "maps").write_text("/usr/lib/libLLVM-15.so.1")
    devices.keep_triton_out(tmp_path / "maps")
    assert sys.modules["triton"] is there
