"""``paddock bundle``: everything that a deployment needs, carried to where there is no network."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddock.cli import deployment, options, render
from paddock.cli.help import Command, examples
from paddock.errors import BundleError, ModelNotFound

if TYPE_CHECKING:
    from paddock.deploy.bundle import Fault

EXAMPLES = """
paddock bundle create /media/usb/llama --file lab.yaml
paddock bundle verify /media/usb/llama
paddock bundle install /media/usb/llama --file lab.yaml --yes
"""

app = typer.Typer(rich_markup_mode=None)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The bundle.", show_default=False)]


@app.callback()
def bundle() -> None:
    """Carries a deployment to machines without a network."""


@app.command(cls=Command, epilog=examples("paddock bundle create /media/usb/llama"))
def create(
    folder: Folder,
    file: deployment.File = None,
    on: deployment.OneHost = None,
    no_packages: Annotated[
        bool, typer.Option("--no-packages", help="Leave out the system's packages.")
    ] = False,
    no_image: Annotated[
        bool, typer.Option("--no-image", help="Leave out the container's image.")
    ] = False,
    no_weights: Annotated[
        bool, typer.Option("--no-weights", help="Leave out the model's weights.")
    ] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Fetches everything that paddock up would, with one manifest of SHA-256.

    For the Python and processor of the host that the stack file names, whatever runs here. What
    was broken off goes on.
    """
    from paddock.deploy import bundle as bundling
    from paddock.deploy.provision.bundling import contents

    found = deployment.opened(file)
    entry = deployment.one_host(found, on)
    with render.waiting(f"looking at {entry.name}"):
        prepared = found.prepare(entry)
    context = prepared.context
    images = [
        getattr(step, "image", None) for step in prepared.steps if step.id == "container.image"
    ]
    weights = None if no_weights else _weights(context.file.model)
    with tempfile.TemporaryDirectory() as work:
        wanted = contents(
            context,
            prepared.steps,
            Path(work),
            weights=weights,
            image=None if no_image or not images else images[0],
            packages=not no_packages,
        )
        made = bundling.create(folder, wanted, log=render.line)
    if json:
        render.emit({"path": str(folder), "files": len(made.entries), "bytes": made.bytes})
    else:
        render.text(f"{folder}: {len(made.entries)} files, {render.size(made.bytes)}\n")


@app.command(cls=Command, epilog=examples("paddock bundle verify /media/usb/llama"))
def verify(folder: Folder, json: options.Json = False, debug: options.Debug = False) -> None:
    """Compares every file with the manifest and names each that differs.

    Exit code 1 if one does.
    """
    faults = _verified(folder)
    if json:
        rows = [{"path": fault.path, "what": fault.what} for fault in faults]
        render.emit({"ok": not faults, "faults": rows})
    elif not faults:
        render.text("every file is as the manifest says\n")
    for fault in faults if not json else ():
        render.text(f"{fault.path} {fault.what}\n")
    raise typer.Exit(1 if faults else 0)


@app.command(cls=Command, epilog=examples("paddock bundle install /media/usb/llama --yes"))
def install(
    folder: Folder,
    file: deployment.File = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Where hosts get it.  [default: below the deployment's folder there]",
            show_default=False,
        ),
    ] = None,
    yes: deployment.Yes = False,
    limit: deployment.Limit = None,
    serial: deployment.Serial = False,
    ignore: deployment.Ignore = None,
    break_lock: deployment.BreakLock = False,
    no_verify: deployment.NoVerify = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Verifies a bundle, then does what paddock up does with nothing but its files.

    A host that has not got it under this path is sent what its steps need. From then on the other
    commands of the deployment go by the bundle too.
    """
    from paddock.cli import up
    from paddock.deploy import bundle as bundling

    folder = folder.resolve()
    found_source = bundling.source(folder, to)
    faults = _verified(folder)
    if faults:
        first = faults[0]
        raise BundleError(
            f"{len(faults)} files of the bundle are damaged: {first.path} {first.what}",
            hint=f"all of them: paddock bundle verify {folder}; copy those again",
        )
    found = deployment.opened(
        file,
        tell=deployment.as_json if json else None,
        limit=limit,
        serial=serial,
        ignore=ignore,
        break_lock=break_lock,
    )
    found.bundle = found_source
    up.bring(found, yes=yes, verify=not no_verify, json=json)
    found.remember_bundle()


@app.command(cls=Command, epilog=examples("paddock bundle forget --file lab.yaml"))
def forget(file: deployment.File = None, debug: options.Debug = False) -> None:
    """Lets a deployment go by the network again; the next paddock up takes back what was sent."""
    was = deployment.opened(file).forget_bundle()
    if was is None:
        render.text("the deployment comes from no bundle\n")
    else:
        render.text(f"{was.folder} is forgotten; see: paddock plan\n")


def _verified(folder: Path) -> tuple[Fault, ...]:
    from paddock.deploy import bundle as bundling

    with render.waiting(f"verifying {folder}"):
        return bundling.verify(folder)


def _weights(model: str | None) -> Path | None:
    """Where the model's files are here; they are pulled first if they are not."""
    if model is None:
        return None
    from paddock import settings
    from paddock.inference.checkpoint import fetch, store

    configured = settings.load()
    try:
        return store.locate(model, configured)
    except ModelNotFound:
        with render.download_bars() as progress:
            return fetch.pull(model, replace(configured, offline=False), progress=progress)
