"""Reads the tokenizer's keys of a GGUF file's header, whatever weights follow it."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

from paddock.errors import CheckpointError, TokenizerError
from paddock.inference.checkpoint.formats.gguf_header import GgufHeader


def read_metadata(path: str | Path, prefix: str = "tokenizer.") -> dict[str, Any]:
    """The keys that begin with ``prefix``, as numbers, booleans, strings and lists of them.

    Raises TokenizerError naming the file if it is no readable GGUF of version 2 or 3.
    """
    path = Path(path)
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            metadata = GgufHeader(data, path, undecodable="strict").metadata
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, CheckpointError) as error:  # ValueError: an empty file cannot be mapped
        raise TokenizerError(
            f"{path} is no readable GGUF file: {error}", hint="it is truncated or another format"
        ) from error
    return {key: value for key, value in metadata.items() if key.startswith(prefix)}
