"""Reads the catalogue's TOML files into the typed model, once per process."""

from __future__ import annotations

import datetime
import importlib
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from paddock.deploy.catalog.schema import (
    Artifact,
    Catalog,
    Component,
    Level,
    Needs,
    Pairing,
    Recipe,
    Release,
    Source,
)
from paddock.deploy.catalog.versions import SCHEMES, parse_range
from paddock.errors import CatalogError

DATA = Path(__file__).parent / "data"
"""Where the files that come with Paddock lie."""

UNSTATED = ("", "-")
"""Cells that say nothing."""

KEYS = {
    "source": {"id", "title", "url", "read"},
    "component": {"id", "title", "scheme", "kind", "open"},
    "table": {
        *("source", "date", "level", "columns", "rows"),
        *("releases", "why", "id", "only_with", "further"),
    },
    "artifact": {
        *("component", "kind", "file", "url", "when", "names"),
        *("level", "source", "date", "note"),
    },
    "needs": {"component", "manager", "packages", "source", "date"},
    "recipe": {"framework", "accelerator", "components", "optional", "on_demand", "essential"},
}


_READING = threading.Lock()


def load(folder: Path = DATA) -> Catalog:
    """The catalogue in ``folder``; raises CatalogError naming file, table and what is wrong.

    What is checked here is the form of each entry; whether the entries agree with each other is
    ``validate``'s.
    """
    with _READING:  # threads that want it at once: one reads, the others wait for it
        return _load(folder)


@lru_cache(maxsize=8)
def _load(folder: Path) -> Catalog:
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise CatalogError(
            f"there is no catalogue in {folder}", hint="it is a folder of .toml files"
        )
    documents = [(path.name, _read(path)) for path in paths]
    sources = _sources(documents)
    components = _components(documents)
    releases: dict[str, list[Release]] = {name: [] for name in components}
    pairings: list[Pairing] = []
    for where, table in _entries(documents, "table"):
        _table(table, where, components, releases, pairings)
    return Catalog(
        sources=sources,
        components=components,
        releases={name: tuple(rows) for name, rows in releases.items()},
        pairings=tuple(pairings),
        artifacts=tuple(_artifact(e, w, components) for w, e in _entries(documents, "artifact")),
        recipes=tuple(_recipe(entry, where) for where, entry in _entries(documents, "recipe")),
        asked=tuple(_needs(entry, where) for where, entry in _entries(documents, "needs")),
    )


def _read(path: Path) -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(f"cannot read {path.name} of the catalogue: {error}") from error
    if unknown := set(document) - set(KEYS):
        raise CatalogError(
            f"{path.name}: unknown table {min(unknown)!r}", hint=f"known are {', '.join(KEYS)}"
        )
    return document


def _entries(
    documents: Sequence[tuple[str, Mapping[str, Any]]], kind: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every ``[[kind]]`` of every file with a text that says which one it is."""
    for name, document in documents:
        for number, entry in enumerate(document.get(kind, ()), 1):
            where = f"{name}, {kind} {number}"
            if unknown := set(entry) - KEYS[kind]:
                raise CatalogError(
                    f"{where}: unknown key {min(unknown)!r}",
                    hint=f"known are {', '.join(sorted(KEYS[kind]))}",
                )
            yield where, entry


def _sources(documents: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for where, entry in _entries(documents, "source"):
        source = Source(
            _get(entry, "id", str, where),
            _get(entry, "title", str, where),
            _get(entry, "url", str, where),
            _get(entry, "read", datetime.date, where),
        )
        if source.id in found:
            raise CatalogError(f"{where}: the source {source.id!r} is there twice")
        found[source.id] = source
    return found


def _components(documents: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Component]:
    found: dict[str, Component] = {}
    for where, entry in _entries(documents, "component"):
        component = Component(
            _get(entry, "id", str, where),
            _get(entry, "title", str, where),
            _get(entry, "scheme", str, where),
            _get(entry, "kind", str, where, "software"),
            _get(entry, "open", bool, where, False),
        )
        if component.scheme not in SCHEMES:
            raise CatalogError(
                f"{where}: unknown scheme {component.scheme!r}",
                hint=f"known are {', '.join(SCHEMES)}",
            )
        if component.id in found:
            raise CatalogError(f"{where}: the component {component.id!r} is there twice")
        found[component.id] = component
    return found


def _table(
    table: Mapping[str, Any],
    where: str,
    components: Mapping[str, Component],
    releases: dict[str, list[Release]],
    pairings: list[Pairing],
) -> None:
    """Adds the releases and pairings of one table; its first column is the subject."""
    columns: list[str] = _get(table, "columns", list, where)
    level = _level(table, where)
    origin = (_get(table, "source", str, where), _get(table, "date", datetime.date, where))
    declares: bool = _get(table, "releases", bool, where, False)
    others = [c for c in columns[1:] if c in components]
    facts = [c for c in columns[1:] if c not in components]
    if columns[0] not in components:
        raise CatalogError(f"{where}: the first column {columns[0]!r} is not a component")
    if facts and not declares and facts != ["why"]:
        raise CatalogError(f"{where}: {facts[0]!r} is not a component")
    for number, row in enumerate(_get(table, "rows", list, where), 1):
        here = f"{where}, row {number}"
        if len(row) != len(columns) or not all(isinstance(cell, str) for cell in row):
            raise CatalogError(f"{here}: needs {len(columns)} texts, one for each column")
        cells = dict(zip(columns, row, strict=True))
        if declares:
            kept = {c: cells[c] for c in facts if cells[c] not in UNSTATED}
            releases[columns[0]].append(
                Release(columns[0], cells[columns[0]], level, *origin, facts=kept)
            )
        for other in others:
            if cells[other] not in UNSTATED:
                pairings.append(
                    _pairing((columns[0], other), cells, level, origin, table, here, components)
                )


def _pairing(
    pair: tuple[str, str],
    cells: Mapping[str, str],
    level: Level,
    origin: tuple[str, datetime.date],
    table: Mapping[str, Any],
    where: str,
    components: Mapping[str, Component],
) -> Pairing:
    try:
        subjects, objects = (parse_range(cells[c], components[c].scheme) for c in pair)
    except CatalogError as error:
        raise CatalogError(f"{where}: {error.message}") from error
    return Pairing(
        *pair,
        subjects,
        objects,
        level,
        *origin,
        why=cells.get("why") or _get(table, "why", str, where, ""),
        id=_get(table, "id", str, where, ""),
        only_with=tuple(_get(table, "only_with", list, where, [])),
        further=_get(table, "further", bool, where, False),
    )


def _artifact(
    entry: Mapping[str, Any], where: str, components: Mapping[str, Component]
) -> Artifact:
    when = {
        name: parse_range(text, components[name].scheme if name in components else "name")
        for name, text in _get(entry, "when", dict, where, {}).items()
    }
    return Artifact(
        component=_get(entry, "component", str, where),
        kind=_get(entry, "kind", str, where),
        file=_get(entry, "file", str, where),
        url=_get(entry, "url", str, where, ""),
        when=when,
        names=_get(entry, "names", dict, where, {}),
        level=_level(entry, where),
        source=_get(entry, "source", str, where),
        date=_get(entry, "date", datetime.date, where),
        note=_get(entry, "note", str, where, ""),
    )


def _needs(entry: Mapping[str, Any], where: str) -> Needs:
    return Needs(
        component=_get(entry, "component", str, where),
        manager=_get(entry, "manager", str, where),
        packages=tuple(_get(entry, "packages", list, where)),
        source=_get(entry, "source", str, where),
        date=_get(entry, "date", datetime.date, where),
    )


def _recipe(entry: Mapping[str, Any], where: str) -> Recipe:
    return Recipe(
        _get(entry, "framework", str, where),
        _get(entry, "accelerator", str, where),
        tuple(_get(entry, "components", list, where)),
        frozenset(_get(entry, "optional", list, where, [])),
        frozenset(_get(entry, "on_demand", list, where, [])),
        frozenset(_get(entry, "essential", list, where, [])),
    )


def _level(entry: Mapping[str, Any], where: str) -> Level:
    text = _get(entry, "level", str, where)
    try:
        return Level(text)
    except ValueError:
        known = ", ".join(level.value for level in Level)
        raise CatalogError(f"{where}: unknown level {text!r}", hint=f"known are {known}") from None


_REQUIRED = object()


def _get(
    entry: Mapping[str, Any], name: str, kind: type, where: str, default: Any = _REQUIRED
) -> Any:
    """A value of the right type."""
    value = entry.get(name, default)
    if value is _REQUIRED:
        raise CatalogError(f"{where}: {name} is missing")
    if not isinstance(value, kind):
        raise CatalogError(f"{where}: {name} is {value!r}, which is not a {kind.__name__}")
    return value
