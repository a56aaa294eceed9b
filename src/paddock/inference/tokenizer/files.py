"""Reading tokenizer files so that every failure names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from paddock.errors import TokenizerError

MAX_BYTES = 256 * 2**20
"""No vocabulary is larger; a file that is was meant for somebody else (weights, usually)."""


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises TokenizerError if it cannot be read or is absurdly large."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TokenizerError(
                f"{path} has {size} bytes; no tokenizer is that large", hint="is it a weight file?"
            )
        return path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror or error}") from error


def read_text(path: Path) -> str:
    """The whole file as UTF-8. Raises TokenizerError if it is not."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is not UTF-8 text: byte {error.start}") from error


def parse_object(text: str, path: Path) -> dict[str, Any]:
    """The JSON object in ``text``. Raises TokenizerError naming ``path`` if there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise TokenizerError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one if the file does not exist."""
    return parse_object(read_text(path), path) if path.is_file() else {}
