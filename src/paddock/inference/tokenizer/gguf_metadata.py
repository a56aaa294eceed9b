"""Reads the keys of a GGUF file's header, which the gguf package takes long for.

It makes several numpy arrays for each of a vocabulary's half million strings: about ten seconds for
Llama 3, against less than one here. Layout: docs/gguf.md of github.com/ggml-org/ggml.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from paddock.errors import TokenizerError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
_STRING, _ARRAY = 8, 9


def read_metadata(path: str | Path, prefix: str = "tokenizer.") -> dict[str, Any]:
    """The keys that begin with ``prefix``, as numbers, booleans, strings and lists of them.

    Raises TokenizerError naming the file if it is no readable GGUF of version 2 or 3.
    """
    try:
        with (
            Path(path).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _Reader(data).keys(prefix)
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, struct.error) as error:  # both are what a damaged or empty file leads to
        raise TokenizerError(
            f"{path} is no readable GGUF file: {error}", hint="it is truncated or another format"
        ) from error


class _Reader:
    """A position in the file, and what stands there."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def keys(self, prefix: str) -> dict[str, Any]:
        if self._data[:4] != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self._at = 4
        version, _tensors, n_keys = self._unpack("IQQ")
        if version not in (2, 3):
            raise ValueError(f"version {version} is not supported; 2 and 3 are")
        found = {}
        for _ in range(n_keys):
            key = self._string()
            value = self._value(self._unpack("I")[0])
            if key.startswith(prefix):
                found[key] = value
        return found

    def _unpack(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def _string(self) -> str:
        (size,) = self._unpack("Q")
        self._room(size)
        text = self._data[self._at : self._at + size].decode("utf-8")
        self._at += size
        return text

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            inner, count = self._unpack("IQ")
            if inner in _SCALARS:
                self._room(count * struct.calcsize("<" + _SCALARS[inner]))
                return list(self._unpack(f"{count}{_SCALARS[inner]}"))
            # Arrays of arrays exist in the format's description only.
            if inner != _STRING:
                raise ValueError(f"an array of type {inner} at byte {self._at}")
            self._room(8 * count)
            return [self._string() for _ in range(count)]
        if kind not in _SCALARS:
            raise ValueError(f"unknown type {kind} at byte {self._at}")
        return self._unpack(_SCALARS[kind])[0]

    def _room(self, size: int) -> None:
        if size > len(self._data) - self._at:
            raise ValueError(f"{size} bytes promised at byte {self._at}, but the file ends before")
