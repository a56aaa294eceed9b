"""``paddock catalog``: what is known of versions, who says so, and whether it all agrees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddock.cli import options, render
from paddock.cli.help import Command, examples
from paddock.errors import PaddockError, UsageError, nearest

if TYPE_CHECKING:
    from paddock.deploy.catalog import Catalog, Pairing

EXAMPLES = """
paddock catalog
paddock catalog list cann
paddock catalog show torch_npu 2.1.0.post3
paddock catalog check my-catalogue/
"""

app = typer.Typer(rich_markup_mode=None)


def complete_component(incomplete: str) -> list[str]:
    """Names of components that begin with ``incomplete``, for the shell."""
    from paddock.deploy.catalog import load

    try:
        return [name for name in load().components if name.startswith(incomplete)]
    except PaddockError:  # must not print into the line that the user is typing
        return []


Component = Annotated[
    str,
    typer.Argument(
        metavar="COMPONENT",
        help="A component: cann, driver, torch_npu, mindformers, ...",
        show_default=False,
        autocompletion=complete_component,
    ),
]


@app.callback(invoke_without_command=True)
def catalog(
    context: typer.Context, json: options.Json = False, debug: options.Debug = False
) -> None:
    """Shows which versions are known to work together, with the source of each statement."""
    if context.invoked_subcommand is None:
        _components(json)


@app.command(
    "list", cls=Command, epilog=examples("paddock catalog list\npaddock catalog list cann")
)
def list_(
    component: Annotated[
        str,
        typer.Argument(
            metavar="[COMPONENT]",
            help="Its releases; all components if none is named.",
            show_default=False,
            autocompletion=complete_component,
        ),
    ] = "",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Lists the components, or the releases of one."""
    if not component:
        _components(json)
        return
    found = _load(component)
    rows: list[dict[str, Any]] = [
        {
            "version": version,
            **_origin(found, release),
            "facts": dict(release.facts),
        }
        for version in found.newest_first(component)
        if (release := found.release(component, version))
    ]
    if json:
        render.emit({"component": component, "releases": rows})
        return
    cells = [
        (
            row["version"],
            row["level"],
            row["date"],
            row["source"],
            ", ".join(f"{name} {value}" for name, value in row["facts"].items()),
        )
        for row in rows
    ]
    render.table(("VERSION", "LEVEL", "DATE", "SOURCE", "FACTS"), cells)


@app.command(
    "show",
    cls=Command,
    epilog=examples("paddock catalog show cann 8.0.0\npaddock catalog show cann"),
)
def show(
    component: Component,
    version: Annotated[
        str,
        typer.Argument(
            metavar="[VERSION]", help="The newest if none is given.", show_default=False
        ),
    ] = "",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Shows everything that one release is paired with, on either side, with sources."""
    found = _load(component)
    known = found.newest_first(component)
    release = found.release(component, version or known[0])
    if release is None:
        raise UsageError(
            f"no {component} {version} in the catalogue{nearest(version, known)}",
            hint=f"see: paddock catalog list {component}",
        )
    pairings = [
        _pairing(found, component, pairing)
        for pairing in found.pairings_of(component, release.version)
    ]
    if json:
        facts = {"facts": dict(release.facts), **_origin(found, release)}
        whole = {"component": component, "version": release.version, **facts}
        render.emit({**whole, "pairings": pairings})
        return
    title = found.components[component].title
    pairs = [("component", title), ("version", release.version), *release.facts.items()]
    pairs += [("level", release.level.value), ("source", found.sources[release.source].url)]
    render.pairs(pairs)
    if not pairings:
        return
    render.text("\n")
    cells = [
        (p["with"], p["versions"], p["level"], p["date"], p["why"] or p["source"]) for p in pairings
    ]
    render.table(("WITH", "VERSIONS", "LEVEL", "DATE", "SOURCE OR REASON"), cells)


@app.command(
    "check", cls=Command, epilog=examples("paddock catalog check\npaddock catalog check DIR")
)
def check(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="[DIR]",
            help="A folder of .toml files; Paddock's own if none is given.",
            show_default=False,
        ),
    ] = "",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Checks a catalogue: rows well formed, pairings known on both sides, sources there.

    Exit code 1 if there is a fault.
    """
    from paddock.deploy.catalog import DATA, load, validate

    where = Path(folder) if folder else DATA
    if folder and not where.is_dir():
        raise UsageError(f"there is no folder {folder}")
    found = load(where)
    faults = validate(found)
    if json:
        render.emit({"folder": str(where), "faults": list(faults), **found.to_dict()})
    else:
        for fault in faults:
            render.text(f"{fault}\n")
        counts = found.to_dict()
        pairings = ", ".join(f"{count} {level}" for level, count in counts["pairings"].items())
        releases = sum(counts["components"].values())
        render.line(
            f"{len(faults)} faults in {releases} releases of {len(counts['components'])} "
            f"components, pairings: {pairings}"
        )
    if faults:
        raise typer.Exit(1)


def _components(json: bool) -> None:
    from paddock.deploy.catalog import load

    found = load()
    rows: list[dict[str, Any]] = [
        {
            "component": component.id,
            "title": component.title,
            "kind": component.kind,
            "releases": len(found.releases[component.id]),
            "newest": found.newest_first(component.id)[0],
        }
        for component in found.components.values()
    ]
    if json:
        render.emit({"components": rows})
        return
    cells = [
        (row["component"], row["title"], row["kind"], str(row["releases"]), row["newest"])
        for row in rows
    ]
    render.table(("COMPONENT", "WHAT", "KIND", "RELEASES", "NEWEST"), cells, right=(3,))


def _load(component: str) -> Catalog:
    from paddock.deploy.catalog import load

    found = load()
    if component not in found.components:
        known = found.components
        raise UsageError(
            f"no component {component!r} in the catalogue{nearest(component, known)}",
            hint=f"known are {', '.join(known)}",
        )
    return found


def _origin(found: Catalog, entry: Any) -> dict[str, str]:
    url = found.sources[entry.source].url
    return {
        "level": entry.level.value,
        "date": str(entry.date),
        "source": entry.source,
        "url": url,
    }


def _pairing(found: Catalog, component: str, pairing: Pairing) -> dict[str, Any]:
    """A pairing as seen from ``component``."""
    mine = pairing.subject == component
    return {
        "with": pairing.object if mine else pairing.subject,
        "versions": (pairing.objects if mine else pairing.subjects).text,
        "states": "subject" if mine else "object",
        "why": pairing.why,
        "id": pairing.id,
        "only_with": list(pairing.only_with),
        **_origin(found, pairing),
    }
