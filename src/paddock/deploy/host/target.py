"""From what a person types to the facts of the machine that is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paddock.deploy.host import probe, recording
from paddock.deploy.host.facts import Host
from paddock.errors import FactsError, NoProgram, Unreachable, UsageError
from paddock.shell import ENGINES, ContainerRunner, LocalRunner, Runner, SshRunner


def facts(
    *,
    host: str | None = None,
    container: str | None = None,
    engine: str | None = None,
    file: Path | None = None,
    look: Sequence[str] = (),
    thorough: bool = False,
    timeout: float = probe.TIMEOUT,
) -> Host:
    """The facts of this machine, of ``host`` (``ssh://user@host:port``), of a ``container`` on
    either, or those recorded in ``file`` (what ``to_json`` wrote, or a folder of a recording).

    ``engine`` is one of ``paddock.shell.ENGINES``; None tries those that are there. The others are
    as in ``probe.read``. Raises UsageError for targets that exclude each other or cannot be
    understood, FactsError for a file that cannot be read, RunnerError and its kinds for a machine
    that cannot be asked.
    """
    if file is not None:
        if host or container:
            raise UsageError(
                "recorded facts have no host or container to ask",
                hint="leave out --facts, or --host and --container",
            )
        return recorded(file)
    if engine and not container:
        raise UsageError("an engine is given and no container", hint="add --container NAME")
    engines: Sequence[str | None] = [engine]
    if container and engine is None:
        engines = engines_on(runner(host=host))
    problem: Unreachable | None = None
    for name in engines:
        asked = runner(host=host, container=container, engine=name)
        try:
            return probe.read(asked, look=look, thorough=thorough, timeout=timeout)
        except Unreachable as error:
            problem = problem or error
    assert problem is not None, "there is at least one engine"
    raise problem


_LIST = 'for name; do command -v "$name" >/dev/null && echo "$name"; done; true'


def engines_on(machine: Runner) -> list[str]:
    """The engines that the machine has, in the order they are tried; raises NoProgram for none."""
    found = machine.run(["sh", "-c", _LIST, "sh", *ENGINES]).stdout.split()
    if not found:
        raise NoProgram(
            f"there is no container engine on {machine.target}",
            hint=f"known are {', '.join(ENGINES)}; is its folder on the PATH?",
        )
    return found


def runner(
    *, host: str | None = None, container: str | None = None, engine: str | None = None
) -> Runner:
    """Who asks the machine that is meant; ``engine`` is docker unless given. Raises UsageError."""
    machine: Runner = SshRunner.parse(host) if host else LocalRunner()
    return ContainerRunner(container, engine or ENGINES[0], machine) if container else machine


def recorded(path: Path) -> Host:
    """The facts in a JSON file or in the folder of a recording; raises FactsError."""
    if path.is_dir():
        return probe.read(recording.load(path))
    try:
        return Host.from_json(path.read_bytes())
    except OSError as error:
        raise FactsError(
            f"cannot read {path}: {error.strerror}",
            hint="write facts with: paddock host --json > FILE",
        ) from error
