"""``paddock.lock``: a stack with its evidence, the wish and the facts behind it, as TOML."""

from __future__ import annotations

import datetime
import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.deploy.resolve.stack import Stack
from paddock.deploy.resolve.view import HostView
from paddock.errors import CatalogError

SCHEMA = 1
"""Rises when a key changes its meaning."""

HEAD = "# Written by `paddock resolve --lock`. Keep it beside what you deploy; do not edit.\n"


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file holds. ``wish`` is as ``Wish.to_dict`` gives it."""

    stack: Stack
    host: HostView
    wish: Mapping[str, Any]
    written: datetime.date

    def pins(self) -> tuple[str, ...]:
        """The software of the stack as pins, to ask whether it still holds."""
        return tuple(
            f"{choice.component}={choice.version}"
            for choice in self.stack.choices
            if choice.kind == "software" and choice.origin != "host"
        )


def dumps(lock: Lock) -> str:
    """The file's text; ``loads`` gives the lock back equal."""
    document = {
        "schema": SCHEMA,
        "written": lock.written,
        "wish": dict(lock.wish),
        "host": lock.host.to_dict(),
        "stack": lock.stack.to_dict(),
    }
    return HEAD + "".join(_toml(_without_none(document)))


def loads(text: str) -> Lock:
    """Raises CatalogError for what is not a lock of a schema that is known here."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: dict[str, Any] = toml.loads(text)
    except ValueError as error:
        raise CatalogError(f"the lock is not TOML: {error}") from error
    if document.get("schema") != SCHEMA:
        raise CatalogError(
            f"the lock has schema {document.get('schema')!r}, this version reads {SCHEMA}",
            hint="write it anew with: paddock resolve --lock FILE",
        )
    try:
        return Lock(
            stack=Stack.from_dict(document["stack"]),
            host=HostView.from_dict(document["host"]),
            wish={"model": None, **document["wish"]},
            written=document["written"],
        )
    except KeyError as error:
        raise CatalogError(f"the lock has no {error}") from error


def write(path: Path, lock: Lock) -> None:
    """Writes the file, whole or not at all."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(dumps(lock), encoding="utf-8")
    partial.replace(path)


def read(path: Path) -> Lock:
    """The lock in a file; raises CatalogError naming it."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path} is not a lock: {error}") from error
    except CatalogError as error:
        raise CatalogError(f"{path}: {error.message}", hint=error.hint) from error


def _without_none(value: Any) -> Any:
    """TOML has no null; what is None is left out."""
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(inner) for inner in value]
    return value


def _toml(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """A document's lines: values first, then tables, then arrays of tables."""
    tables = {k: v for k, v in table.items() if isinstance(v, dict)}
    arrays = {
        k: v for k, v in table.items() if isinstance(v, list) and v and isinstance(v[0], dict)
    }
    for key, value in table.items():
        if key not in tables and key not in arrays:
            yield f"{_key(key)} = {_value(value)}\n"
    for key, inner in tables.items():
        yield f"\n[{'.'.join(map(_key, (*path, key)))}]\n"
        yield from _toml(inner, (*path, key))
    for key, rows in arrays.items():
        for row in rows:
            yield f"\n[[{'.'.join(map(_key, (*path, key)))}]]\n"
            yield from _toml(row, (*path, key))


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's strings, numbers and booleans are TOML's, but for the one control character above ~.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
