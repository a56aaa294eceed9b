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

    ``engine`` is one of ``paddock.shell.ENGINES``; None tries them in turn. The others are as in
    ``probe.read``. Raises UsageError for targets that exclude each other or cannot be understood,
    FactsError for a file that cannot be read, RunnerError and its kinds for a machine that cannot.
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
    # An engine that was not named is looked for: the first that knows the container.
    names = [engine] if engine or not container else list(ENGINES)
    problem: Unreachable | None = None
    for name in names:
        asked = runner(host=host, container=container, engine=name)
        try:
            return probe.read(asked, look=look, thorough=thorough, timeout=timeout)
        except NoProgram as error:
            problem = problem or error
        except Unreachable as error:
            # What an engine says of the container tells more than that another is not there.
            problem = error if problem is None or isinstance(problem, NoProgram) else problem
    assert problem is not None, "there is at least one engine"
    raise problem


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
