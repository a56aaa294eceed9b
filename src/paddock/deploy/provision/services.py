"""Jupyter, TensorBoard and MindInsight on their ports."""

from __future__ import annotations

import shlex

from paddock.deploy.provision import python
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.pip import PipStep, Wanted
from paddock.deploy.provision.prefix import Environment
from paddock.deploy.provision.requirements import constraints, wanted
from paddock.deploy.provision.service import service
from paddock.deploy.step import CONTAINER, Step

JUPYTER = """\
# Written by Paddock. The token is in a file of mode 600 beside this one.
from pathlib import Path
c = get_config()
token = Path({token!r}).read_text().strip()
c.IdentityProvider.token = token  # jupyter_server from 2.0 on
c.ServerApp.token = token
c.ServerApp.allow_remote_access = True
"""
"""Jupyter's settings: neither they nor the process list hold the token."""

NEW = r"""
if [ ! -s "$folder/token" ]; then
  head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$folder/token"
fi
"""
"""sh: a token of 192 bits, once."""


def steps(context: Context) -> list[Step]:
    """The services that are wished for."""
    found: list[Step] = []
    if context.file.extras.jupyter is not None:
        found += _jupyter(context, context.file.extras.jupyter)
    if context.file.extras.tensorboard is not None:
        found += _tensorboard(context, context.file.extras.tensorboard)
    if context.file.extras.mindinsight is not None:
        found += _mindinsight(context, context.file.extras.mindinsight)
    return found


def token_file(context: Context, name: str) -> str:
    """Where a service's token is on the target, mode 0600."""
    return f"{context.folder}/services/{name}/token"


def _address(context: Context) -> str:
    """Where services listen: on loopback, but in a container with a network of its own on the
    container's address, which only the ports published on the host's loopback lead to.
    """
    own = context.place == CONTAINER and context.file.container.network != "host"
    return "0.0.0.0" if own else "127.0.0.1"  # noqa: S104 - the container's own


def _workdir(context: Context) -> str:
    return context.file.container.workdir if context.place == CONTAINER else '"$HOME"'


def _source(context: Context) -> str:
    file = shlex.quote(f"{context.folder}/environment.sh")
    return f"if [ -r {file} ]; then . {file}; fi"


def _packages(context: Context, name: str, distributions: tuple[Wanted, ...]) -> Step:
    return PipStep(
        id=f"services.{name}-packages",
        title=f"{distributions[0].name} in the environment of the stack",
        why=f"extras.{name}",
        python=f"{context.environment}/bin/python",
        wanted=distributions,
        constraints=constraints(context),
        folder=context.folder,
        artifacts=context.artifacts,
        on=context.place,
    )


def _jupyter(context: Context, port: int) -> list[Step]:
    folder = f"{context.folder}/services/jupyter"
    settings = JUPYTER.format(token=token_file(context, "jupyter"))
    before = f"{NEW}cat >\"$folder/settings.py\" <<'PADDOCK_END'\n{settings}PADDOCK_END"
    # Root is what containers run as; the token is what keeps others out.
    run = (
        f"{_source(context)}\n"
        f"mkdir -p {_workdir(context)}\ncd {_workdir(context)}\n"
        f"exec {shlex.quote(context.environment)}/bin/jupyter lab"
        f" --config {shlex.quote(folder)}/settings.py --no-browser --allow-root"
        f" --ServerApp.ip={_address(context)} --ServerApp.port={port}"
        " --ServerApp.port_retries=0"
    )
    return [
        _packages(context, "jupyter", (Wanted("jupyterlab"),)),
        service(
            context,
            "jupyter",
            run,
            port=port,
            title=f"Jupyter on port {port}, with a token",
            why="extras.jupyter",
            step="services.jupyter",
            before=before,
        ),
    ]


def _tensorboard(context: Context, port: int) -> list[Step]:
    run = (
        f"{_source(context)}\nmkdir -p {_workdir(context)}/summaries\n"
        f"exec {shlex.quote(context.environment)}/bin/tensorboard"
        f" --logdir {_workdir(context)}/summaries --host {_address(context)} --port {port}"
    )
    # setuptools below 82, which removed the pkg_resources that TensorBoard up to 2.20 imports.
    packages = (Wanted("tensorboard"), Wanted("setuptools", source="setuptools<82"))
    return [
        _packages(context, "tensorboard", packages),
        service(
            context,
            "tensorboard",
            run,
            port=port,
            title=f"TensorBoard on port {port}",
            why="extras.tensorboard; it knows no tokens, so that it is reached through SSH only",
            step="services.tensorboard",
        ),
    ]


def _mindinsight(context: Context, port: int) -> list[Step]:
    # Its bound on protobuf contradicts MindSpore's from 2.7 on: an environment of its own.
    prefix = f"{context.environment}-mindinsight"
    # "mindinsight start" binds to 127.0.0.1, where no published port of a container leads, knows no
    # other address, and leaves its gunicorn to itself: here that is run as it would run it.
    run = (
        f"prefix={shlex.quote(prefix)} summaries={_workdir(context)}/summaries\n"
        "PATH=$prefix/bin:$PATH MINDINSIGHT_SUMMARY_BASE_DIR=$summaries\n"
        f"MINDINSIGHT_PORT={port} MINDINSIGHT_WORKSPACE=$PWD/workspace\n"
        "export PATH MINDINSIGHT_SUMMARY_BASE_DIR MINDINSIGHT_PORT MINDINSIGHT_WORKSPACE\n"
        'mkdir -p "$summaries"\n'
        f'exec "$prefix/bin/gunicorn" --bind {_address(context)}:{port}'
        " --config python:mindinsight.backend.config.gunicorn_conf"
        " --logger-class mindinsight.backend.run.GunicornLogger mindinsight.backend.application:APP"
    )
    version = (context.stack and context.stack.version("python")) or None
    place = Environment(prefix, python.manager(context), version, exact=False)
    return [
        *python.made(context, place, "mindinsight"),
        *python.index(context, prefix, "mindinsight.index"),
        PipStep(
            id="mindinsight.packages",
            title="MindInsight in an environment of its own",
            why="extras.mindinsight; it asks for an older protobuf than MindSpore from 2.7 on",
            python=place.python,
            # It imports pkg_resources, which setuptools 82 removed.
            wanted=(
                *(wanted(context, ("mindinsight",)) or (Wanted("mindinsight"),)),
                Wanted("setuptools", source="setuptools<82"),
            ),
            folder=context.folder,
            artifacts=context.artifacts,
            on=context.place,
        ),
        service(
            context,
            "mindinsight",
            run,
            port=port,
            title=f"MindInsight on port {port}",
            why="extras.mindinsight; it knows no tokens, so that it is reached through SSH only",
            step="services.mindinsight",
        ),
    ]
