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
paddock bundle install /srv/llama --file lab.yaml --yes
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


@app.command(cls=Command, epilog=examples("paddock bundle install /srv/llama --yes"))
def install(
    folder: Folder,
    file: deployment.File = None,
    yes: deployment.Yes = False,
    limit: deployment.Limit = None,
    debug: options.Debug = False,
) -> None:
    """Verifies a bundle, then does what paddock up does with nothing but its files.

    The bundle must lie under the same path on every host that is deployed to.
    """
    from paddock.cli import plan_view, up_view
    from paddock.deploy import bundle as bundling
    from paddock.deploy.provision.bundling import installed_from

    folder = folder.resolve()
    faults = _verified(folder)
    if faults:
        first = faults[0]
        raise BundleError(
            f"{len(faults)} files of the bundle are damaged: {first.path} {first.what}",
            hint=f"all of them: paddock bundle verify {folder}; copy those again",
        )
    manifest = bundling.read(folder)
    found = deployment.opened(file, limit=limit)
    found.file = installed_from(found.file, folder, manifest)
    with render.waiting("looking"):
        planned = found.plan()
    if planned.empty:
        render.text("nothing to change\n")
        return
    plan_view.show(planned)
    if len(planned.blocked) == len(planned.hosts) or not deployment.agreed("Do this?", yes=yes):
        raise typer.Exit(1)
    with up_view.live([host.name for host in found.hosts]) as live:
        found.tell = live
        results = found.up(planned)
    up_view.summary(found, results, {})
    raise typer.Exit(0 if all(result.ok for result in results) else 1)


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
