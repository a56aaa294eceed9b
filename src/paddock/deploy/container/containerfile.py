"""A stack as an image: the steps that would be applied inside a container, as a recipe."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from paddock._version import __version__
from paddock.deploy.container.process import command
from paddock.deploy.container.spec import ContainerSpec
from paddock.deploy.step import CONTAINER, FileStep, Step

RUNNING = ("ssh.server", "serve.process", "serve.model", "serve.keys")
"""Steps that start something, or bring what is no part of an image (weights, keys)."""


SERVER = "serve.command"
"""The step whose file is the server's command line."""

PADDOCK = "serve.paddock"
"""The step that installs a wheel, which is no package of any index."""


def containerfile(spec: ContainerSpec, steps: Iterable[Step], *, wheels: str | None = None) -> str:
    """A recipe for docker build or podman build; it needs files from a build context only where
    ``wheels`` says in which folder of the image the step PADDOCK looks for its wheel.

    Each step is one layer, in the words of its ``script()``; the classic builder knows no
    here-documents, so that its lines are given to sh by printf. The image starts the server, or,
    where none is wished for, waits.
    """
    steps = list(steps)
    build = f"docker build -t {spec.name}"
    lines = [
        f"# Written by paddock {__version__} for the deployment {spec.deployment or spec.name}.",
        f"#   {build} - < Containerfile"
        if wheels is None
        else f"#   {build} -f Containerfile .    # beside the wheel, which export --out puts there",
        f"FROM {spec.image}",
        f"LABEL org.opencontainers.image.title={json.dumps(spec.deployment or spec.name)}",
    ]
    for step in steps:
        if step.on == CONTAINER and not _runs(step.id):
            lines += ["", f"# {step.id}: {step.title}"]
            if step.id == PADDOCK and wheels is not None:
                lines.append(f"COPY paddock-{__version__}-*.whl {wheels}/")
            lines.append(_layer(step.script()))
    lines += ["", f"WORKDIR {spec.workdir or '/'}"]
    lines += [f"EXPOSE {port.container}" for port in spec.ports]
    server = next((s.path for s in steps if isinstance(s, FileStep) and s.id == SERVER), None)
    lines.append(f"CMD {json.dumps([server] if server else [*command()])}")
    return "\n".join(lines) + "\n"


def _runs(name: str) -> bool:
    return name in RUNNING or (name.startswith("services.") and not name.endswith("-packages"))


def _layer(script: str) -> str:
    """``RUN`` with the script's lines as words of printf, which sh reads."""
    words = " \\\n    ".join(shlex.quote(line) for line in ["set -eu", *script.splitlines()])
    return f"RUN printf '%s\\n' \\\n    {words} \\\n    | sh"
