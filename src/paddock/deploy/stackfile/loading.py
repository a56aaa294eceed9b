"""From ``paddock.yaml`` to a checked ``Stackfile``: presets below the file, a host's keys above."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from paddock.deploy import typed
from paddock.deploy.stackfile import check, document, presets
from paddock.deploy.stackfile.document import Document, Place
from paddock.deploy.stackfile.model import HostEntry, Stackfile
from paddock.errors import UsageError, nearest

NAME = "paddock.yaml"
"""What the file is called where nobody says otherwise."""

NOT_BY_HOST = ("version", "name", "hosts")
"""Keys that hold for the whole deployment, and that no host may override."""


def load(path: Path | None = None) -> Stackfile:
    """The stack file at ``path``; without one, ``paddock.yaml`` here or else the defaults.

    Raises UsageError, with the file's name and line, for anything that is not understood or
    contradicts itself, for each host's version of it too.
    """
    if path is None:
        path = Path(NAME)
        if not path.exists():
            return Stackfile()
    return convert(document.read(path))


def loads(text: str, name: str = NAME) -> Stackfile:
    """The same for a text; ``name`` is what errors call it."""
    return convert(document.parse(text, name))


def convert(found: Document) -> Stackfile:
    """The checked stack file of a document. Raises UsageError."""
    file = _typed(found, _with_preset(found.values, found))
    check.check(file, found)
    for number, entry in enumerate(file.hosts):
        if entry.override:
            _merged(file, entry, found, ("hosts", number, "override"))
    return file


def for_host(file: Stackfile, entry: HostEntry) -> Stackfile:
    """The stack file as it holds for one of its hosts; ``hosts`` is that one alone.

    A table is merged key by key, anything else is replaced. A preset of the host's own goes below
    what the file says. Raises UsageError for what the overrides make wrong.
    """
    nowhere = Document({}, {}, f"the overrides of {entry.name}")
    return _merged(file, entry, nowhere, ())


def _merged(file: Stackfile, entry: HostEntry, found: Document, place: Place) -> Stackfile:
    import msgspec

    override: dict[str, Any] = dict(entry.override)
    for key in NOT_BY_HOST:
        if key in override:
            raise found.fault((*place, key), "this holds for all hosts", hint="write it at the top")
    _known_keys(Stackfile, override, place, found)
    base: dict[str, Any] = msgspec.to_builtins(file)
    shifted = Document({}, _shifted(found.lines, place), found.name)
    try:
        result = _typed(shifted, merge(base, _with_preset(override, shifted)))
        check.check(result, shifted)
    except UsageError as error:
        if f"override of {entry.name}" in error.message:
            raise
        raise UsageError(
            f"{error.message} (with the override of {entry.name})", hint=error.hint
        ) from error
    return replace(result, hosts=(replace(entry, override={}),))


def _shifted(lines: Mapping[Place, int], place: Place) -> dict[Place, int]:
    """Lines as an override's keys have them, over those of the file."""
    below = {k[len(place) :]: v for k, v in lines.items() if k[: len(place)] == place}
    return {**lines, **below} if place else dict(lines)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``: tables key by key, everything else as a whole."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = merge(below, value) if both and below is not None else value
    return merged


def _with_preset(values: Mapping[str, Any], found: Document) -> dict[str, Any]:
    name = values.get("preset")
    if not isinstance(name, str):
        return dict(values)
    try:
        below = presets.read(name)
    except UsageError as error:
        raise found.fault(("preset",), error.message, hint=error.hint) from error
    return merge(below, values)


def _typed(found: Document, values: Mapping[str, Any]) -> Stackfile:
    """The dataclass; every unknown key is refused first, by its name and line."""
    import msgspec

    prepared = dict(values)
    if isinstance(prepared.get("hosts"), list):
        prepared["hosts"] = [_entry(each) for each in prepared["hosts"]]
    elif isinstance(prepared.get("hosts"), str):
        prepared["hosts"] = [_entry(prepared["hosts"])]
    _known_keys(Stackfile, prepared, (), found)
    try:
        return typed.convert(_set(prepared), Stackfile)
    except msgspec.ValidationError as error:
        reason, place = _reason(str(error), prepared)
        raise found.fault(place, reason) from error


def _set(value: Any) -> Any:
    """Without keys that have no value ("ports:"): to whoever wrote them they are not set."""
    if isinstance(value, dict):
        return {key: _set(inner) for key, inner in value.items() if inner is not None}
    return [_set(inner) for inner in value] if isinstance(value, list) else value


def _entry(value: Any) -> Any:
    """An address alone is a host of that name."""
    if not isinstance(value, str):
        return value
    bare = value.removeprefix("ssh://").rpartition("@")[2]
    name = re.sub(r"[^\w.-]+", "-", bare.strip("[]/")).strip("-")
    return {"name": name or value, "address": value}


def _reason(text: str, values: Any) -> tuple[str, Place]:
    """msgspec's words (``Expected `int`, got `str` - at `$.ssh.port` ``) as ours, and the place."""
    said, _, where = text.partition(" - at `")
    parts = re.findall(r"\[(\d+|\.\.\.)\]|\.([\w-]+)", where.rstrip("`").removeprefix("$"))
    place = tuple(int(i) if i.isdecimal() else (i or key) for i, key in parts)
    if said.startswith("Invalid enum value"):
        return _choice(place, values), place
    kinds = {"`int`": "a whole number", "`str`": "a text", "`bool`": "true or false"}
    kinds |= {"`object`": "a table", "`array`": "a list", "`null`": "nothing"}
    for theirs, ours in kinds.items():
        said = said.replace(theirs, ours)
    said = re.sub(r"`([\w| ]+)`", lambda m: " or ".join(_kind(k) for k in m[1].split("|")), said)
    return said.replace("Expected", "this must be").replace(", got", ", and is"), place


def _choice(place: Place, values: Any) -> str:
    """What a key may be that was given something else."""
    hint: Any = Stackfile
    for part in place:
        values = values[part]
        if isinstance(part, str):
            owner = hint if is_dataclass(hint) else _table(hint)
            hint = typing.get_type_hints(owner)[part]
    inner = (hint, *typing.get_args(hint))
    known = [str(v) for h in inner if typing.get_origin(h) is typing.Literal for v in h.__args__]
    return f"{values!r} is none of {', '.join(known)}{nearest(str(values), known)}"


def _kind(word: str) -> str:
    names = {"int": "a whole number", "str": "a text", "bool": "true or false", "null": "nothing"}
    return names.get(word.strip(), {"array": "a list", "object": "a table"}.get(word.strip(), word))


def _known_keys(kind: type, values: Any, place: Place, found: Document) -> None:
    """Refuses the first key of a table that its dataclass does not have."""
    if not isinstance(values, dict):
        return
    known = tables(kind)
    for key, value in values.items():
        here = (*place, key)
        if key not in known:
            raise found.fault(
                here,
                f"there is no such key{nearest(key, known)}",
                hint=f"known here are {', '.join(known)}",
            )
        inner = known[key]
        if inner is None:
            continue
        for number, each in enumerate(value if isinstance(value, list) else ()):
            _known_keys(inner, each, (*here, number), found)
        _known_keys(inner, value, here, found)


@lru_cache(maxsize=32)
def tables(kind: type) -> dict[str, type | None]:
    """The keys of a table, each with the dataclass of its value (or of each of a list's)."""
    hints = typing.get_type_hints(kind)
    return {each.name: _table(hints[each.name]) for each in fields(kind)}


def _table(hint: Any) -> type | None:
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    union = typing.get_origin(hint) in (typing.Union, types.UnionType, tuple)
    inner = [_table(each) for each in typing.get_args(hint)] if union else []
    return next((each for each in inner if each is not None), None)
