"""Compiled code is kept in files, and a run goes on whatever happens to them."""

import errno
import os
import tempfile

import numba
import numpy as np
import pytest

from napari_convgen.core.cpu import compiled as module
from napari_convgen.core.cpu.compiled import cache_troubles, compiled

CODE = """
def kernel(x):
    total = x[0]
    for i in range(1, len(x)):
        total = total * x[i] + x[i] * x[0]
    return total
"""


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The folder of compiled code; nothing has gone wrong yet."""
    folder = tmp_path / "kept"
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder))
    monkeypatch.setattr(module, "_troubles", {})
    return folder


@pytest.fixture
def kernel(tmp_path):
    """Compiles the same function as another process would, which may find it among the files."""
    (tmp_path / "kernels.py").write_text(CODE)

    def build():
        scope = {"__name__": "kernels"}
        exec(compile(CODE, tmp_path / "kernels.py", "exec"), scope)
        return compiled(scope["kernel"])

    return build


X = np.random.default_rng(0).random(5, np.float32)


def value(kernel):
    return np.float32(kernel(X)).tobytes()


def is_from_file(kernel):
    return bool(kernel.stats.cache_hits)


@pytest.fixture
def expected(cache, kernel):
    """What the kernel returns, whose code is then in the files."""
    built = kernel()
    result = value(built)
    assert not is_from_file(built)
    return result


def test_a_kernel_lets_other_threads_run_and_shows_nan_and_infinities(cache, kernel):
    options = kernel().targetoptions
    assert options["nogil"]
    assert not options["fastmath"] & {"nnan", "ninf", "fast"}
    assert np.isnan(kernel()(np.array([np.nan, 1])))


def test_code_is_kept_for_the_next_time(kernel, expected):
    again = kernel()
    assert value(again) == expected
    assert is_from_file(again)
    assert cache_troubles() == ()


DAMAGES = {
    "empty": lambda content: b"",
    "half written": lambda content: content[: len(content) // 2],
    "garbage": lambda content: np.random.default_rng(1).bytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "zeros at the end": lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
    "a byte changed": lambda content: content[:-9] + bytes([content[-9] ^ 255]) + content[-8:],
    "another Python's": lambda content: b"\x80\x63" + content[2:],
}


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_code_is_compiled_again(cache, kernel, expected, damage, suffix):
    [path] = cache.rglob(f"*.{suffix}")
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    again = kernel()
    assert value(again) == expected
    assert not is_from_file(again)
    last = kernel()
    assert value(last) == expected
    assert is_from_file(last)
    assert cache_troubles() in ((), (module.NOT_READ,))


def test_damage_is_reported(cache, kernel, expected, caplog):
    for path in cache.rglob("*.nbc"):
        path.write_bytes(DAMAGES["half written"](path.read_bytes()))
    value(kernel())
    assert cache_troubles() == (module.NOT_READ,)
    assert "is damaged" in caplog.text


def test_code_is_compiled_where_another_process_took_its_file(cache, kernel, expected):
    double = kernel()
    double(X.astype(np.float64))
    one, other = sorted(cache.rglob("*.nbc"))
    one.write_bytes(other.read_bytes())
    again = kernel()
    assert value(again) == expected
    assert not is_from_file(again)
    last = kernel()
    assert value(last) == expected
    assert is_from_file(last)
    assert cache_troubles() == ()


def test_files_that_cannot_be_read_or_written_are_done_without(cache, kernel, expected):
    for path in list(cache.rglob("*.nb?")):
        path.unlink()
        path.mkdir()  # as root, the tests may read and write any file
    again = kernel()
    assert value(again) == expected
    not_read, not_kept = cache_troubles()
    assert not_read == module.NOT_READ
    assert not_kept == module.NOT_KEPT.format(reason="Is a directory")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_is_full_or_write_protected_meanwhile_costs_only_time(cache, kernel, monkeypatch, code):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", fail)
    for _ in range(2):
        built = kernel()
        result = value(built)
        assert not is_from_file(built)
    monkeypatch.undo()
    assert not list(cache.rglob("*.nb?*"))
    assert result == value(kernel())


def test_what_was_half_saved_is_not_taken(cache, kernel, monkeypatch):
    replace, paths = os.replace, []

    def fail_at_second(source, target):
        paths.append(target)
        if len(paths) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at_second)
        result = value(kernel())
    assert cache_troubles() == (module.NOT_KEPT.format(reason="No space left on device"),)
    again = kernel()
    assert value(again) == result
    assert not is_from_file(again)
    assert value(last := kernel()) == result
    assert is_from_file(last)


def test_without_any_folder_to_write_to_code_is_compiled_each_time(cache, kernel, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)  # by which Numba tries a folder
    for _ in range(2):
        built = kernel()
        value(built)
        assert not is_from_file(built)
    assert cache_troubles() == (module.NOT_KEPT.format(reason="no folder can be written to"),)


def test_a_folder_under_a_file_is_none(cache, kernel):
    cache.write_text("")
    value(kernel())
    assert value(again := kernel()) == value(kernel())
    assert is_from_file(again)  # beside the source
    assert cache_troubles() == ()
