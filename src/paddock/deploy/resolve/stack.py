"""``Stack``: one consistent set of versions, and everything that says why it is consistent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from paddock.deploy.catalog import Artifact, Catalog, Level
from paddock.deploy.resolve.problem import DERIVED, NOT_VERIFIED, Cell, Edge, Problem
from paddock.deploy.resolve.solve import Found
from paddock.deploy.resolve.view import HostView
from paddock.deploy.resolve.wish import UNVERIFIED, Wish
from paddock.errors import CatalogError

RULE = "rule of the version files"
"""The source of a pair that no row names and the families of the version files admit."""

NAMED_BY_FRAMEWORK = ("mindformers", "vllm_ascend")
"""Whoever has one of these in its image holds a whole stack."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A component of the stack. ``origin`` is ``host``, ``pinned`` or ``chosen``.

    ``level`` is that of its worst pair: a Level, or ``unverified``.
    """

    component: str
    title: str
    version: str
    kind: str
    origin: str
    level: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why two parts go together: a row of the catalogue, or the rule of the version files.

    A version is empty where it is left open.
    """

    subject: str
    subject_version: str
    object: str
    object_version: str
    level: str
    source: str
    url: str
    date: str
    why: str


@dataclass(frozen=True, slots=True)
class File:
    """Something to fetch or install: a name, an address (may be empty) and how well it is known."""

    component: str
    kind: str
    name: str
    url: str
    level: str
    note: str


@dataclass(frozen=True, slots=True)
class Stack:
    """A consistent set of versions for a framework on a machine.

    ``level`` is the worst of its pairs. ``images`` are container images that hold it already.
    ``left_open`` are components of which no source says what version is needed.
    """

    framework: str
    accelerator: str
    chip: str
    arch: str
    level: str
    choices: tuple[Choice, ...]
    evidence: tuple[Evidence, ...]
    files: tuple[File, ...] = ()
    images: tuple[str, ...] = ()
    left_open: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def version(self, component: str) -> str | None:
        """The version of a component; None if the stack has none or leaves it open."""
        return next((c.version for c in self.choices if c.component == component), None)

    def to_dict(self) -> dict[str, Any]:
        """The stack as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Stack:
        """The stack that ``to_dict`` gave; raises CatalogError for anything else."""
        try:
            return cls(
                **{
                    **values,
                    "choices": tuple(Choice(**each) for each in values["choices"]),
                    "evidence": tuple(Evidence(**each) for each in values["evidence"]),
                    "files": tuple(File(**each) for each in values.get("files", ())),
                    **{
                        name: tuple(values.get(name, ()))
                        for name in ("images", "left_open", "allowed", "notes")
                    },
                }
            )
        except (TypeError, KeyError) as error:
            raise CatalogError(f"this is not a stack: {error}") from error


def assemble(catalog: Catalog, view: HostView, wish: Wish, problem: Problem, found: Found) -> Stack:
    """The stack that an assignment of the problem means."""
    chosen = {name: value for name, value in found.values.items() if value is not None}
    pairs = list(_pairs(problem, found.values))
    worst = {name: max([0, *(c.cost for e, c in pairs if name in (e.a, e.b))]) for name in chosen}
    pinned = {pin.component for pin in wish.pins} | ({"model"} if wish.model else set())
    hosts = {n for d in problem.demands if d.kind == "fact" for n in d.values}
    choices = tuple(
        Choice(
            name,
            catalog.components[name].title,
            version,
            catalog.components[name].kind,
            "pinned" if name in pinned else "host" if name in hosts else "chosen",
            level_of(worst[name]),
        )
        for name, version in chosen.items()
    )
    open_ = tuple(name for name, value in found.values.items() if value is None)
    evidence = tuple(_evidence(catalog, found.values, pairs))
    images = tuple(_images(catalog, chosen))
    return Stack(
        framework=wish.framework,
        accelerator=view.accelerator,
        chip=chosen["chip"],
        arch=chosen["arch"],
        level=level_of(max([0, *worst.values()])),
        choices=choices,
        evidence=evidence,
        files=tuple(f for f in _files(catalog, chosen) if f.component not in hosts),
        images=images,
        left_open=open_,
        allowed=tuple(sorted({c.needs for _, c in pairs if c.needs})),
        notes=tuple(_notes(catalog, view, chosen, open_, pinned, evidence, images)),
    )


def level_of(cost: int) -> str:
    """The level of a pair or of a stack whose worst pair costs this much."""
    if cost < DERIVED:
        return Level.official.value
    if cost < NOT_VERIFIED:
        return Level.derived.value
    return UNVERIFIED if cost < 10**6 else Level.reported_bad.value


def _pairs(problem: Problem, values: Mapping[str, str | None]) -> Iterator[tuple[Edge, Cell]]:
    for edge in problem.edges:
        at = tuple(problem.variables[name].index(values[name]) for name in (edge.a, edge.b))
        cell = edge.cells[at[0], at[1]]
        if cell.rows or cell.rule:
            yield edge, cell


def _evidence(
    catalog: Catalog, values: Mapping[str, str | None], pairs: list[tuple[Edge, Cell]]
) -> Iterator[Evidence]:
    for edge, cell in pairs:
        sides = (edge.a, values[edge.a] or "", edge.b, values[edge.b] or "")
        for row in cell.rows[:1]:
            url = catalog.sources[row.source].url
            yield Evidence(*sides, row.level.value, row.source, url, str(row.date), row.why)
        if cell.rule:
            yield Evidence(*sides, level_of(cell.cost), RULE, "", "", cell.rule)


def _images(catalog: Catalog, chosen: Mapping[str, str]) -> Iterator[str]:
    """Images of which every published pairing agrees with the stack."""
    for release in catalog.releases["image"]:
        rows = [p for p in catalog.pairings if p.subject == "image"]
        rows = [p for p in rows if p.subjects.holds(release.version)]
        named = {p.object for p in rows}
        if named & set(NAMED_BY_FRAMEWORK) and all(
            p.object in chosen and p.objects.holds(chosen[p.object]) for p in rows
        ):
            yield release.version


def _files(catalog: Catalog, chosen: Mapping[str, str]) -> Iterator[File]:
    """The artifacts whose conditions the stack fulfils, with their names filled in."""
    fields = _fields(catalog, chosen)
    for artifact in catalog.artifacts:
        fits = artifact.component in chosen and all(
            name in chosen and versions.holds(chosen[name])
            for name, versions in artifact.when.items()
        )
        if not fits:
            continue
        spelled = {name: artifact.names.get(value, value) for name, value in fields.items()}
        try:
            name = artifact.file.format(**spelled)
            url = artifact.url.format(**spelled, file=name)
        except KeyError:  # a part of the name is left open, so nobody knows the name
            continue
        yield _file(artifact, name, url)


def _file(artifact: Artifact, name: str, url: str) -> File:
    return File(artifact.component, artifact.kind, name, url, artifact.level.value, artifact.note)


def _fields(catalog: Catalog, chosen: Mapping[str, str]) -> dict[str, str]:
    """What fills the braces of an artifact: versions, facts of releases, tags of wheels."""
    fields = dict(chosen)
    for component, version in chosen.items():
        release = catalog.release(component, version)
        for fact, value in (release.facts if release else {}).items():
            fields[f"{component}_{fact}"] = value
    if "python" in chosen:
        tag = "cp" + "".join(chosen["python"].split(".")[:2])
        # Source: PEP 3149 and its end in Python 3.8, where the m of pymalloc was dropped.
        fields.update(py=tag, abi=f"{tag}m" if tag == "cp37" else tag)
    if "cuda" in chosen:
        fields["cuda_digits"] = chosen["cuda"].replace(".", "")
    return fields


def _notes(
    catalog: Catalog,
    view: HostView,
    chosen: Mapping[str, str],
    open_: tuple[str, ...],
    pinned: set[str],
    evidence: tuple[Evidence, ...],
    images: tuple[str, ...],
) -> Iterator[str]:
    yield from view.notes
    titles = {name: component.title for name, component in catalog.components.items()}
    for each in evidence:
        if each.level != Level.official.value and each.why:
            pair = f"{titles[each.subject]} {each.subject_version}"
            if each.object_version:
                pair += f" with {titles[each.object]} {each.object_version}"
            yield f"{pair} is {each.level}: {each.why}"
    for name in ("driver", "python"):
        if name in open_:
            yield f"no public source says which {titles[name]} this stack needs"
    vouched = {n for e in evidence for n in (e.subject, e.object)}
    for name in sorted(pinned & set(chosen) - vouched - {"model"}):
        yield f"no source says whether {titles[name]} {chosen[name]} fits; it was asked for"
    if "image" in chosen and images and chosen["image"] not in images:
        yield f"{images[0]} holds this stack already; {chosen['image']} would be filled by hand"
