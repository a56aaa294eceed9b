"""From a machine and an engine's name to whoever can be asked: its socket, or its command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from paddock.deploy.container.client import CommandLineEngine
from paddock.deploy.container.engine import ANSWER_S, Engine
from paddock.deploy.container.sdk import SdkEngine
from paddock.deploy.step import Machine
from paddock.shell import LocalRunner, SshRunner

_SOCKET = {
    # The context in force, DOCKER_HOST included.
    "docker": ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
    "podman": [
        *("podman", "info", "--format"),
        "{{if .Host.RemoteSocket.Exists}}{{.Host.RemoteSocket.Path}}{{end}}",
    ],
}


@contextlib.contextmanager
def connect(machine: Machine, engine: str) -> Iterator[Engine]:
    """The engine on that machine. A remote one's socket is forwarded by ssh while it is in use.

    Where there is no socket that can be reached (isula, podman without its service, a machine that
    is entered in another way) its command line is used; it gives the same answers. Raises
    ContainerError and Unreachable.
    """
    path = _socket(machine, engine)
    runner = machine.runner
    with contextlib.ExitStack() as stack:
        made: SdkEngine | None = None
        if path and isinstance(runner, LocalRunner):
            made = SdkEngine(engine, f"unix://{path}")
        elif path and isinstance(runner, SshRunner):
            made = SdkEngine(engine, f"unix://{stack.enter_context(runner.forward(path))}")
        if made is None:
            yield CommandLineEngine(engine, machine)
            return
        stack.callback(made.close)
        yield made


def _socket(machine: Machine, engine: str) -> str | None:
    """The path of the engine's socket there; None where it has none."""
    if engine not in _SOCKET or not isinstance(machine.runner, LocalRunner | SshRunner):
        return None
    output = machine.run(_SOCKET[engine], timeout=ANSWER_S)
    address = output.stdout.strip()
    if not output.ok or address.startswith(("tcp:", "ssh:", "fd:", "http")):
        return None
    return address.removeprefix("unix://") or None
