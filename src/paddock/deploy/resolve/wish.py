"""What a person asks for: a framework, a model, versions that must be, risks that are accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from paddock.deploy.catalog import Catalog, Level
from paddock.deploy.catalog.versions import Range
from paddock.errors import CatalogError, UsageError, nearest

UNVERIFIED = "unverified"
"""What ``--allow`` takes for a driver and a toolkit of which no public source says anything."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Versions of a component that are insisted on; ``text`` is how it was asked for."""

    component: str
    versions: Range
    text: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A stack that is asked for.

    ``allow`` are ids of reported-bad pairings, or ``unverified``. ``with_`` are components that
    take part only if asked for. ``pre`` lets a pre-release of the framework win by its number.
    """

    framework: str
    model: str | None = None
    pins: tuple[Pin, ...] = ()
    allow: frozenset[str] = frozenset()
    with_: tuple[str, ...] = ()
    pre: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The wish as plain JSON values."""
        return {
            "framework": self.framework,
            "model": self.model,
            "pins": [pin.text for pin in self.pins],
            "allow": sorted(self.allow),
            "with": list(self.with_),
            "pre": self.pre,
        }


def make(
    catalog: Catalog,
    framework: str,
    *,
    model: str | None = None,
    pins: tuple[str, ...] = (),
    python: str | None = None,
    allow: tuple[str, ...] = (),
    with_: tuple[str, ...] = (),
    pre: bool = False,
) -> Wish:
    """The wish that texts mean: ``pins`` read ``cann=7.0.0``, ``numpy<2``, ``cann=7.0.0|8.0.0``.

    ``kernels=910b_7.0.0`` pins the toolkit too, because kernels have its version. Raises UsageError
    for a framework, component, version, model or id that is not known.
    """
    frameworks = list(dict.fromkeys(recipe.framework for recipe in catalog.recipes))
    if framework not in frameworks:
        raise UsageError(
            f"unknown framework {framework!r}{nearest(framework, frameworks)}",
            hint=f"known are {', '.join(frameworks)}",
        )
    known_ids = {p.id for p in catalog.pairings if p.level is Level.reported_bad} | {UNVERIFIED}
    for name in allow:
        if name not in known_ids:
            raise UsageError(
                f"there is nothing to allow by the name {name!r}{nearest(name, known_ids)}",
                hint=f"known are {', '.join(sorted(known_ids))}",
            )
    for name in with_:
        if name not in catalog.components:
            raise UsageError(f"unknown component {name!r}{nearest(name, catalog.components)}")
    found = [pin for text in pins for pin in _pins(catalog, text)]
    if python is not None:
        found.append(_pin(catalog, "python", python, f"--python {python}"))
    return Wish(
        framework=framework,
        model=None if model is None else _model(catalog, model),
        pins=tuple(found),
        allow=frozenset(allow),
        with_=with_,
        pre=pre,
    )


def _model(catalog: Catalog, name: str) -> str:
    release = catalog.release("model", name)
    if release is None:
        known = catalog.newest_first("model")
        raise UsageError(
            f"unknown model {name!r}{nearest(name, known)}", hint=f"known are {', '.join(known)}"
        )
    return release.version


def _pins(catalog: Catalog, text: str) -> list[Pin]:
    found = re.fullmatch(r"([a-z_-]+)\s*(==?|(?=[<>!]))\s*(.+)", text)
    if not found:
        raise UsageError(f"{text!r} is not COMPONENT=VERSION", hint="as in: --pin cann=7.0.0")
    name, versions = found[1].replace("-", "_"), found[3]
    if name not in catalog.components:
        known = catalog.components
        raise UsageError(
            f"unknown component {name!r}{nearest(name, known)}",
            hint=f"known are {', '.join(known)}",
        )
    if name == "kernels" and "_" in versions:
        versions, _, toolkit = versions.partition("_")
        spelled = f"--pin {text}"
        return [
            _pin(catalog, "kernels", versions, spelled),
            _pin(catalog, "cann", toolkit, spelled),
        ]
    return [_pin(catalog, name, versions, f"--pin {text}")]


def _pin(catalog: Catalog, name: str, versions: str, spelled: str) -> Pin:
    """A pin, its versions spelled as the catalogue spells them."""
    component = catalog.component(name)
    try:
        release = None
        if re.fullmatch(r"[^<>=!|,*]+", versions):
            release = catalog.release(name, versions)
        wanted = catalog.range(name, release.version if release else versions)
    except CatalogError as error:
        raise UsageError(f"{spelled}: {error.message}") from error
    known = catalog.newest_first(name)
    if not component.open and not any(wanted.holds(version) for version in known):
        raise UsageError(
            f"{spelled}: no such {component.title} in the catalogue{nearest(versions, known)}",
            hint=f"see: paddock catalog list {name}",
        )
    return Pin(name, wanted, spelled)
