"""Checks that the catalogue's entries agree with each other, for whoever adds one."""

from __future__ import annotations

import datetime
import re
import string
from collections import Counter
from collections.abc import Iterator

from paddock.deploy.catalog.schema import Artifact, Catalog, Level, Needs, Pairing, Release
from paddock.deploy.catalog.versions import Range, key
from paddock.errors import CatalogError

ARTIFACT_KINDS = ("run", "wheel", "image", "package", "list")
MANAGERS = ("apt", "dnf", "pip")
COMPONENT_KINDS = ("software", "hardware", "system", "setting")
EXTRA_FIELDS = ("arch", "py", "abi", "file", "cuda_digits")
"""What an artifact's name may hold beside components and ``component_fact``."""


def validate(catalog: Catalog) -> tuple[str, ...]:
    """Every fault as one sentence; empty if there is none.

    Faults are: a source that is not listed, not used or has no public address; a release that is
    there twice or whose version does not parse; a pairing one side of which is no release, that
    contradicts another or that nothing can reach; an artifact, need or recipe that names what is
    not there.
    """
    return tuple(
        fault
        for check in (
            *(_sources, _components, _releases, _pairings, _allow_ids, _artifacts),
            *(_needs, _recipes),
        )
        for fault in check(catalog)
    )


def _sources(catalog: Catalog) -> Iterator[str]:
    entries: list[Release | Pairing | Artifact | Needs] = [
        *(release for rows in catalog.releases.values() for release in rows),
        *catalog.pairings,
        *catalog.artifacts,
        *catalog.asked,
    ]
    used = set()
    for entry in entries:
        used.add(entry.source)
        if entry.source not in catalog.sources:
            yield f"the source {entry.source!r} is used and not listed"
        if entry.date > datetime.date.today():
            yield f"an entry from {entry.source!r} is dated {entry.date}, which is to come"
    for source in catalog.sources.values():
        if not re.fullmatch(r"https?://[\w.-]+\.[a-z]+(/\S*)?", source.url):
            yield f"the source {source.id!r} has no public address: {source.url!r}"
        if source.id not in used:
            yield f"the source {source.id!r} is listed and not used"


def _components(catalog: Catalog) -> Iterator[str]:
    for component in catalog.components.values():
        if component.kind not in COMPONENT_KINDS:
            yield f"{component.id}: unknown kind {component.kind!r}"
        if not catalog.releases.get(component.id):
            yield f"{component.id}: has no release"


def _releases(catalog: Catalog) -> Iterator[str]:
    for component, releases in catalog.releases.items():
        scheme = catalog.components[component].scheme
        spelled: Counter[object] = Counter()
        for release in releases:
            names = {release.version, *release.facts.get("also", "").split()}
            for name in names:
                try:
                    spelled[key(name, scheme)] += 1
                except CatalogError as error:
                    yield f"{component}: {error.message}"
            if release.level is Level.reported_bad:
                yield f"{component} {release.version}: only a pairing can be reported bad"
        for twice in (name for name, count in spelled.items() if count > 1):
            yield f"{component}: a release is there twice: {twice}"


def _pairings(catalog: Catalog) -> Iterator[str]:
    for pairing in catalog.pairings:
        a, b = pairing.subject, pairing.object
        where = f"{a} {pairing.subjects.text}, {b} {pairing.objects.text}"
        sides = ((a, pairing.subjects), (b, pairing.objects))
        for component, versions in sides:
            yield from (f"{where}: {fault}" for fault in _side(catalog, component, versions))
        if unknown := set(pairing.only_with) - set(catalog.components):
            yield f"{where}: only_with names {min(unknown)!r}, which is not a component"
        if a == b:
            yield f"{where}: pairs a component with itself"
        if (pairing.level is Level.reported_bad) != bool(pairing.id):
            yield f"{where}: exactly the reported-bad pairings have an id"
        if pairing.level is Level.reported_bad and not pairing.why:
            yield f"{where}: says not why it is bad"


def _side(catalog: Catalog, component: str, versions: Range) -> Iterator[str]:
    """Faults of one side of a pairing: it must mean releases that are there."""
    if catalog.components[component].open:
        return
    known = catalog.newest_first(component)
    for version in versions.exact():
        if version not in known:
            yield f"{component} {version} is not a release"
    for conditions in versions.alternatives:
        part = Range(versions.text, versions.scheme, (conditions,))
        negative = all(op == "!=" for op, _ in conditions)
        if not negative and not any(part.holds(version) for version in known):
            yield f"no release of {component} is in {versions.text!r}"


def _allow_ids(catalog: Catalog) -> Iterator[str]:
    tables: dict[str, set[tuple[str, str]]] = {}
    for pairing in _bad(catalog):
        tables.setdefault(pairing.id, set()).add((pairing.subject, pairing.object))
    for name, pairs in tables.items():
        if len(pairs) > 1:
            yield f"the id {name!r} stands for different pairs"
        if not re.fullmatch(r"[a-z0-9.-]+", name):
            yield f"the id {name!r} is not made of lower-case letters, digits, dots and dashes"


def _bad(catalog: Catalog) -> Iterator[Pairing]:
    return (p for p in catalog.pairings if p.level is Level.reported_bad)


def _artifacts(catalog: Catalog) -> Iterator[str]:
    for artifact in catalog.artifacts:
        where = f"artifact {artifact.file}"
        if artifact.component not in catalog.components:
            yield f"{where}: {artifact.component!r} is not a component"
        if artifact.kind not in ARTIFACT_KINDS:
            yield f"{where}: unknown kind {artifact.kind!r}"
        if unknown := set(artifact.when) - set(catalog.components):
            yield f"{where}: when names {min(unknown)!r}, which is not a component"
        fields = {name for _, name, _, _ in string.Formatter().parse(artifact.file + artifact.url)}
        for field in fields - {None, *EXTRA_FIELDS, *catalog.components}:
            owners = [c for c in catalog.components if str(field).startswith(f"{c}_")]
            component = max(owners, key=len, default="")
            fact = str(field)[len(component) + 1 :]
            if not any(fact in release.facts for release in catalog.releases.get(component, ())):
                yield f"{where}: nothing fills in {{{field}}}"


def _needs(catalog: Catalog) -> Iterator[str]:
    for needs in catalog.asked:
        where = f"what {needs.component} needs of {needs.manager}"
        if needs.component not in catalog.components:
            yield f"{where}: {needs.component!r} is not a component"
        if needs.manager not in MANAGERS:
            yield f"{where}: unknown manager {needs.manager!r}"
        for name in needs.packages:
            if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*([<>=!~].*)?", name):
                yield f"{where}: {name!r} is not the name of a package"
        if not needs.packages:
            yield f"{where}: names nothing"


def _recipes(catalog: Catalog) -> Iterator[str]:
    for recipe in catalog.recipes:
        where = f"recipe {recipe.framework} on {recipe.accelerator}"
        named = {*recipe.components, *recipe.optional, *recipe.on_demand}
        if unknown := named - set(catalog.components):
            yield f"{where}: {min(unknown)!r} is not a component"
        listed = recipe.optional | recipe.on_demand | recipe.essential
        if extra := listed - set(recipe.components):
            yield f"{where}: {min(extra)!r} is not one of its components"
        for name in ("chip", "arch"):
            if name not in recipe.components:
                yield f"{where}: {name} is missing"
