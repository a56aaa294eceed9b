"""``paddock resolve``: the versions that fit together here, or what would have to give way."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddock.cli import options, render, resolve_view
from paddock.cli.catalog import complete_component
from paddock.errors import NoStack, UsageError

if TYPE_CHECKING:
    from paddock.deploy.catalog import Catalog
    from paddock.deploy.resolve import HostView, Stack, Wish

EXAMPLES = """
paddock resolve --framework mindspore --model llama2-7b
paddock resolve --framework torch --pin cann=8.0.0 --python 3.10
paddock resolve --chip 910b --arch aarch64 --driver 24.1.0 --framework vllm
paddock resolve --explain cann
paddock resolve --lock paddock.lock
paddock resolve --check paddock.lock
"""

WISH = "What it should be"
PLACE = "Where it should run"


def resolve(
    framework: Annotated[
        str,
        typer.Option(
            "--framework",
            "-f",
            metavar="mindspore|torch|vllm|cann",
            help="cann is CANN alone.  [default: mindspore on Ascend, torch elsewhere]",
            show_default=False,
            rich_help_panel=WISH,
        ),
    ] = "",
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Only what has this model: llama2-7b, llama2-13b, llama2-70b.",
            show_default=False,
            rich_help_panel=WISH,
        ),
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COMPONENT=VERSION",
            help="Insist on a version (cann=7.0.0) or a range ('numpy<2'); repeatable.",
            show_default=False,
            rich_help_panel=WISH,
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="Insist on a Python.", show_default=False, rich_help_panel=WISH
        ),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="COMPONENT",
            help="Also a component that is left out otherwise (mindinsight); repeatable.",
            show_default=False,
            autocompletion=complete_component,
            rich_help_panel=WISH,
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Accept a pair that is reported bad, by the id that a refusal names, or "
            "'unverified'; repeatable.",
            show_default=False,
            rich_help_panel=WISH,
        ),
    ] = None,
    pre: Annotated[
        bool,
        typer.Option(
            "--pre",
            help="Let a release candidate of the framework win by its number.",
            rich_help_panel=WISH,
        ),
    ] = False,
    host: options.HostAddress = None,
    container: options.ContainerName = None,
    engine: options.Engine = None,
    facts: options.Facts = None,
    chip: Annotated[
        str,
        typer.Option(
            metavar="CHIP",
            help="Look at no machine: plan for 910, 910b, a3, 310p, 310b, nvidia, cpu, ...",
            show_default=False,
            rich_help_panel=PLACE,
        ),
    ] = "",
    arch: Annotated[
        str,
        typer.Option(
            metavar="aarch64|x86_64",
            help="With --chip, or where facts do not tell.  [default: x86_64]",
            show_default=False,
            rich_help_panel=PLACE,
        ),
    ] = "",
    driver: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="With --chip: the driver there.",
            show_default=False,
            rich_help_panel=PLACE,
        ),
    ] = "",
    os: Annotated[
        str,
        typer.Option(
            "--os",
            metavar="NAME:VERSION",
            help="With --chip: the system there, as in ubuntu:22.04.",
            show_default=False,
            rich_help_panel=PLACE,
        ),
    ] = "",
    explain: Annotated[
        str,
        typer.Option(
            metavar="COMPONENT",
            help="Say why it has this version and no newer one.",
            show_default=False,
            autocompletion=complete_component,
        ),
    ] = "",
    lock: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="Write the stack and its evidence there.", show_default=False
        ),
    ] = "",
    check: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Ask whether the stack of a lock file still holds here.",
            show_default=False,
        ),
    ] = "",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Finds the versions of driver, CANN, framework and libraries that fit together.

    Newest official pairs first, then derived ones; never what is reported to fail, unless it is
    allowed by name. Exit code 1 if there is no such stack: then it says what conflicts, and every
    smallest set of things to give up.
    """
    from paddock.deploy import resolve as resolving
    from paddock.deploy.catalog import load

    catalog = load()
    view = (
        _planned(catalog, chip, arch, driver, os, (host, container, facts))
        if chip
        else _seen(catalog, host, container, engine, facts, arch, (driver, os))
    )
    given = (framework, model, pin, python, with_, allow, pre)
    wish = (
        _locked(catalog, check, given)
        if check
        else resolving.make(
            catalog,
            framework or ("mindspore" if view.accelerator == "ascend" else "torch"),
            model=model,
            pins=tuple(pin or ()),
            python=python,
            allow=tuple(allow or ()),
            with_=tuple(with_ or ()),
            pre=pre,
        )
    )
    try:
        stack = resolving.resolve(catalog, view, wish)
    except NoStack as error:
        _refuse(wish, error, json)
        raise typer.Exit(1) from None
    if lock:
        _write(lock, stack, view, wish)
    if explain:
        answer = resolving.why(catalog, view, wish, explain)
        render.emit(answer.to_dict()) if json else resolve_view.why(answer)
    elif json:
        render.emit({"stack": stack.to_dict(), "wish": wish.to_dict(), "host": view.to_dict()})
    else:
        resolve_view.stack(stack)
    if lock and not json:
        render.line(f"wrote {lock}")


def _seen(
    catalog: Catalog,
    host: str | None,
    container: str | None,
    engine: str | None,
    facts: Path | None,
    arch: str,
    planned: tuple[str, str],
) -> HostView:
    """The machine that the options name, looked at."""
    from paddock.deploy.host import target
    from paddock.deploy.resolve import from_host

    for name, value in zip(("--driver", "--os"), planned, strict=True):
        if value:
            raise UsageError(f"{name} goes with --chip", hint="a real machine has its own")
    with render.waiting(f"looking at {container or host or facts or 'this machine'}"):
        found = target.facts(host=host, container=container, engine=engine, file=facts)
    return from_host(found, catalog, arch=arch or None)


def _planned(
    catalog: Catalog,
    chip: str,
    arch: str,
    driver: str,
    system: str,
    others: tuple[str | Path | None, ...],
) -> HostView:
    """A machine that is only described."""
    from paddock.deploy.resolve import HostView, VersionFile
    from paddock.errors import nearest

    for name, value in zip(("--host", "--container", "--facts"), others, strict=True):
        if value:
            raise UsageError(f"{name} and --chip say different things", hint="give one of them")
    known = catalog.newest_first("chip")
    if chip not in known:
        raise UsageError(
            f"unknown chip {chip!r}{nearest(chip, known)}", hint=f"known are {', '.join(known)}"
        )
    known = catalog.newest_first("arch")
    if arch and arch not in known:
        raise UsageError(f"unknown architecture {arch!r}{nearest(arch, known)}")
    accelerator = chip if chip in ("nvidia", "cpu") else "ascend"
    if driver and accelerator == "cpu":
        raise UsageError("a CPU has no driver", hint="leave --driver away")
    return HostView(
        accelerator=accelerator,
        chip=chip,
        arch=arch or "x86_64",
        os=system or None,
        driver=VersionFile(driver) if driver and accelerator == "ascend" else None,
        nvidia_driver=driver if driver and accelerator == "nvidia" else None,
    )


def _locked(catalog: Catalog, file: str, given: tuple[object, ...]) -> Wish:
    """The wish that a lock's stack amounts to."""
    from paddock.deploy.resolve import lock, make

    if any(given):
        raise UsageError("--check takes the wish from the lock", hint="leave the others away")
    found = lock.read(Path(file))
    return make(
        catalog,
        found.stack.framework,
        model=found.wish.get("model"),
        pins=found.pins(),
        allow=found.stack.allowed,
    )


def _refuse(wish: Wish, error: NoStack, as_json: bool) -> None:
    """Shows what conflicts and every way out, in the place where failures of a command are."""
    if not as_json:
        resolve_view.refusal(wish, error)
        return
    conflicts = [asdict(explanation) for explanation in error.explanations]
    failure = {"kind": "NoStack", "message": error.message, "hint": error.hint}
    render.emit({"error": {**failure, "conflicts": conflicts}})


def _write(file: str, stack: Stack, view: HostView, wish: Wish) -> None:
    import datetime

    from paddock.deploy.resolve import lock as locking

    written = datetime.date.today()
    locking.write(Path(file), locking.Lock(stack, view, wish.to_dict(), written))
