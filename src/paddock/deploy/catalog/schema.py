"""What the catalogue is made of, as frozen dataclasses; the data files are only a way to write it.

Catalog
├── Source      where a statement comes from
├── Component   something that has versions: cann, torch_npu, python, chip, ...
│   └── Release     one version of it
├── Pairing     releases of two components that go together, or are reported not to
├── Artifact    name and address of a file or image, by version, arch and chip
├── Needs       packages of the system or of Python that a component asks for
└── Recipe      which components a stack consists of, for a framework on an accelerator
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from paddock.deploy.catalog.versions import Range, key, parse_range
from paddock.errors import CatalogError, nearest


class Level(str, Enum):
    """How well a statement is founded.

    ``official``: a vendor or project publishes exactly this. ``derived``: concluded from published
    facts, or measured. ``reported-bad``: people report that it fails although nothing forbids it.
    """

    official = "official"
    derived = "derived"
    reported_bad = "reported-bad"


@dataclass(frozen=True, slots=True)
class Source:
    """Where statements come from: a public address and the day it was read."""

    id: str
    title: str
    url: str
    read: datetime.date


@dataclass(frozen=True, slots=True)
class Component:
    """Something that has versions.

    ``scheme`` is one of ``versions.SCHEMES``. ``open`` components are only sampled here: any
    version of them may be asked for. ``kind`` is ``software``, ``hardware``, ``system`` or
    ``setting`` (a choice in a deployment that has no version, like the network of a container).
    """

    id: str
    title: str
    scheme: str
    kind: str = "software"
    open: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a component; ``facts`` are the further columns of its row."""

    component: str
    version: str
    level: Level
    source: str
    date: datetime.date
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """Versions of ``subject`` and of ``object`` that go together (or not, if reported bad).

    The subject decides: a release with pairings to a component goes with nothing else of it, a
    release without any leaves it open. Pairings of the same two components are alternatives;
    those that are ``further`` must hold besides the others. A reported-bad pairing overrules both.
    ``only_with`` names components that must be part of a stack for the pairing to matter. ``id``
    is what ``--allow`` takes; only reported-bad pairings have one.
    """

    subject: str
    object: str
    subjects: Range
    objects: Range
    level: Level
    source: str
    date: datetime.date
    why: str = ""
    id: str = ""
    only_with: tuple[str, ...] = ()
    further: bool = False


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or image that brings a component; ``{cann}``, ``{arch}`` and such are filled in.

    ``when`` maps components (and ``arch``) to the versions it exists for; ``names`` spells
    versions as file names do (``x86_64`` is ``x86-64`` in a driver's name). ``url`` may be empty:
    then only the name is known. ``kind`` is ``run``, ``wheel``, ``image``, ``package`` or ``list``.
    """

    component: str
    kind: str
    file: str
    url: str
    when: Mapping[str, Range]
    names: Mapping[str, str]
    level: Level
    source: str
    date: datetime.date
    note: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """Packages that a component asks for beside itself.

    ``manager`` is ``apt``, ``dnf`` (yum's names) or ``pip``; ``packages`` are names in its world,
    pip's with their bounds.
    """

    component: str
    manager: str
    packages: tuple[str, ...]
    source: str
    date: datetime.date


@dataclass(frozen=True, slots=True)
class Recipe:
    """The components of a stack, most important first: its newness is decided in this order.

    ``optional`` ones are left open where no source says which version is needed; a release that
    leaves an ``essential`` one open is taken only if it is asked for and accepted as unverified.
    ``on_demand`` ones take part only if asked for.
    """

    framework: str
    accelerator: str
    components: tuple[str, ...]
    optional: frozenset[str]
    on_demand: frozenset[str]
    essential: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Catalog:
    """Everything that is known, ready to be asked. Immutable."""

    sources: Mapping[str, Source]
    components: Mapping[str, Component]
    releases: Mapping[str, tuple[Release, ...]]
    pairings: tuple[Pairing, ...]
    artifacts: tuple[Artifact, ...]
    recipes: tuple[Recipe, ...]
    asked: tuple[Needs, ...] = ()

    def needs(self, component: str, manager: str) -> tuple[str, ...]:
        """The packages that a component asks for from that manager; empty if none are named."""
        rows = (n for n in self.asked if (n.component, n.manager) == (component, manager))
        return tuple(dict.fromkeys(name for row in rows for name in row.packages))

    def component(self, name: str) -> Component:
        """The component of that name; raises CatalogError naming the nearest."""
        if name not in self.components:
            known = self.components
            raise CatalogError(
                f"no component {name!r} in the catalogue{nearest(name, known)}",
                hint=f"known are {', '.join(known)}",
            )
        return self.components[name]

    def range(self, component: str, text: str) -> Range:
        """``text`` as a set of versions of ``component``.

        Two numbers of Python (``3.9``) mean every 3.9, as they do to people.
        """
        scheme = self.component(component).scheme
        if scheme == "python" and text.count(".") == 1 and text.replace(".", "").isdecimal():
            text += ".*"
        return parse_range(text, scheme)

    def release(self, component: str, version: str) -> Release | None:
        """The release of that version, by any of its spellings, or None."""
        scheme = self.component(component).scheme
        wanted = key(version, scheme)
        for release in self.releases.get(component, ()):
            names = (release.version, *release.facts.get("also", "").split())
            if any(key(name, scheme) == wanted for name in names):
                return release
        return None

    def newest_first(self, component: str) -> tuple[str, ...]:
        """Every version of a component, newest first; names in the order of the file."""
        scheme = self.component(component).scheme
        versions = [release.version for release in self.releases.get(component, ())]
        if scheme != "name":
            versions.sort(key=lambda version: key(version, scheme), reverse=True)
        return tuple(versions)

    @cached_property
    def by_pair(self) -> Mapping[tuple[str, str], tuple[Pairing, ...]]:
        """The pairings of two components, to be found from either side."""
        found: dict[tuple[str, str], list[Pairing]] = {}
        for pairing in self.pairings:
            found.setdefault((pairing.subject, pairing.object), []).append(pairing)
        return {pair: tuple(rows) for pair, rows in found.items()}

    def pairings_of(self, component: str, version: str) -> tuple[Pairing, ...]:
        """Every pairing in which this release takes part, on either side."""
        return tuple(
            p
            for p in self.pairings
            if (p.subject == component and p.subjects.holds(version))
            or (p.object == component and p.objects.holds(version))
        )

    def recipe(self, framework: str, accelerator: str) -> Recipe | None:
        """How a stack of that framework is made up on that accelerator, or None."""
        for recipe in self.recipes:
            if (recipe.framework, recipe.accelerator) == (framework, accelerator):
                return recipe
        return None

    def to_dict(self) -> dict[str, Any]:
        """Counts of what there is, as plain JSON values."""
        levels = {level.value: 0 for level in Level}
        for pairing in self.pairings:
            levels[pairing.level.value] += 1
        return {
            "sources": len(self.sources),
            "components": {name: len(self.releases.get(name, ())) for name in self.components},
            "pairings": levels,
            "artifacts": len(self.artifacts),
            "recipes": len(self.recipes),
        }
