"""``paddock verify``: does a deployment do what it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from paddock.cli import deployment, options, render
from paddock.errors import PaddockError

if TYPE_CHECKING:
    from paddock.deploy.plan import Deployment

EXAMPLES = """
paddock verify
paddock verify --limit npu1 --json
"""


def verify(
    file: deployment.File = None,
    limit: deployment.Limit = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Asks each host whether it does what was promised; changes nothing.

    Exit code 1 if one does not.
    """
    found = deployment.opened(file, limit=limit)
    good = True
    for entry in found.hosts:
        with render.waiting(f"looking at {entry.name}"):
            try:
                found.prepare(entry)
            except PaddockError as error:
                good = False
                _say(entry.name, False, str(error), as_json=json)
                continue
        good &= ask(found, entry.name, as_json=json)
    raise typer.Exit(0 if good else 1)


def ask(found: Deployment, name: str, *, as_json: bool) -> bool:
    """Asks the model of a host, says what came of it, and tells whether it is well."""
    from paddock.deploy.provision import answer

    prepared = found.prepared[name]
    try:
        said = answer.ask(prepared.context, prepared.place)
    except PaddockError as error:
        _say(name, False, str(error), as_json=as_json)
        return False
    _say(name, True, said, as_json=as_json)
    return True


def _say(host: str, good: bool, text: str, *, as_json: bool) -> None:
    if as_json:
        render.emit({"verified": {"host": host, "ok": good, "text": text}})
    else:
        render.line(f"{host}: {'' if good else 'failed: '}{text}".translate(render.CONTROLS))
