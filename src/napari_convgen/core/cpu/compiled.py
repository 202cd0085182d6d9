"""How the kernels on the CPU are compiled, by Numba, and how their machine code is kept in files.

Compiling all kernels takes some ten seconds, so their code is kept for the next start of the program. Numba itself fails where such
a file is damaged, cannot be read, or cannot be written. Here that costs the time to compile, and `cache_troubles` says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

N_DIGEST = hashlib.sha256().digest_size

NOT_READ = "Compiled code that was kept on the disk could not be read; it was compiled again."
NOT_KEPT = "Compiled code could not be kept on the disk ({reason}): it is compiled again at each start of the program."

_log = logging.getLogger(__name__)
_troubles: dict[str, None] = {}  # in order, each once


def compiled(function: Callable[..., Any], inline: str = "never") -> Any:
    """Compile a function to machine code, which is kept for the next time, to be run without holding the interpreter up.

    Parameters
    ----------
    function
        Function of numbers and arrays, from a file.
    inline
        ``"always"`` to insert it into its callers, ``"never"``, the default, to call it.
    """
    # Sums may be reordered, but a diverging fit must show its NaN and infinities.
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": {"reassoc", "contract", "nsz", "arcp"},
        "error_model": "numpy",
        "inline": inline,
    }
    dispatcher = numba.njit(**options)(function)
    if dispatcher is not function:  # it is where compiling is switched off, by NUMBA_DISABLE_JIT
        try:
            dispatcher._cache = _Cache(function)
        except (RuntimeError, OSError) as error:
            no_folder = "no folder can be written to" if isinstance(error, RuntimeError) else _reason(error)
            _note(NOT_KEPT.format(reason=no_folder), error)
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function for a pixel: a call counts references to its arrays, which takes as long as part of the pixel's work."""
    return compiled(function, "always")


def cache_troubles() -> tuple[str, ...]:
    """Return what went wrong with the files of compiled code since the program has started, in sentences."""
    return tuple(_troubles)


class _Cache(FunctionCache):
    """Compiled code of a function in files; no trouble with them is an error."""

    _cache_file: _Files

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _Files(self.cache_path, f"{self._impl.filename_base}.checked", stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code for a signature; ``None``, for it to be compiled, if it is not there or damaged."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # whatever reading garbage leads to
            _note(NOT_READ, error)
            self._cache_file.discard()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code for a signature, if that can be done."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _note(NOT_KEPT.format(reason=_reason(error)), error)


class _Files(IndexDataCacheFile):
    """An index, and a file for each signature: behind a digest of its content, as code that was damaged must not run.

    The content names its signature, too: of two processes that save at the same time, one may overwrite the other's file.
    """

    def discard(self) -> None:
        """Forget what is kept; files whose names are not in the index are overwritten later."""
        with contextlib.suppress(OSError):
            os.unlink(self._index_path)

    def save(self, key: Any, data: Any) -> None:
        super().save(key, (key, data))

    def load(self, key: Any) -> Any:
        kept_key, data = super().load(key) or (key, None)
        return data if kept_key == key else None

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as file:
            digest, content = file.read(N_DIGEST), file.read()
        if hashlib.sha256(content).digest() != digest:
            raise ValueError(f"{name} is damaged")
        return pickle.loads(content)


def _note(trouble: str, error: Exception) -> None:
    if trouble not in _troubles:
        _log.warning("%s (%s: %s)", trouble, type(error).__name__, error)
    _troubles[trouble] = None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
