"""Asks a machine once and makes a ``Host`` of its answer; the same for every kind of machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import resources

from paddock.deploy.host import (
    ascend,
    bus,
    engines,
    frames,
    network,
    nvidia,
    software,
    system,
)
from paddock.deploy.host.facts import Host, Note
from paddock.errors import RunnerError
from paddock.shell import LocalRunner, RecordedRunner, Runner

TIMEOUT = 90.0
"""Seconds for the whole answer: a driver that hangs costs ten of them and is then left alone."""


def script() -> str:
    """The program that is sent: POSIX sh, reads only."""
    return (resources.files("paddock.deploy.host") / "probe.sh").read_text(encoding="utf-8")


def answer(
    runner: Runner,
    *,
    look: Sequence[str] = (),
    thorough: bool = False,
    timeout: float = TIMEOUT,
) -> tuple[bytes, float]:
    """What the machine answers, and how many seconds that took.

    One round trip. ``look`` are further folders to search for models. ``thorough`` asks each
    accelerator more questions (usages, sensors, network ports), which takes longer. Raises
    RunnerError where the machine cannot be asked, and its kinds (Unreachable, TimedOut).
    """
    argv = ["sh", "-s", "--", "thorough" if thorough else "quick", *look]
    output = runner.run(argv, timeout=timeout, stdin=script())
    document = output.raw or output.stdout.encode()
    if not document.strip():
        said = (output.stderr.strip().splitlines() or ["nothing"])[-1]
        raise RunnerError(
            f"{runner.target} did not answer the probe: exit code {output.exit_code}, {said}",
            hint="it needs a POSIX shell named sh",
        )
    return document, output.seconds


def read(
    runner: Runner | None = None,
    *,
    look: Sequence[str] = (),
    thorough: bool = False,
    timeout: float = TIMEOUT,
) -> Host:
    """The facts of a machine, this one unless a runner is given; see ``answer`` for the rest.

    Nothing is changed there. What cannot be read is a note in the facts; only a machine that
    cannot be asked at all is an error.
    """
    runner = runner or LocalRunner()
    document, seconds = answer(runner, look=look, thorough=thorough, timeout=timeout)
    reader = None if isinstance(runner, RecordedRunner) else time.time()
    return host(document, target=runner.target, reader=reader, seconds=seconds)


def host(
    document: bytes, *, target: str, reader: float | None = None, seconds: float = 0.0
) -> Host:
    """The facts in an answer; a pure function of it.

    ``reader`` is the time here (seconds since 1970) when the answer was whole, None for an answer
    of another day; ``seconds`` is how long it took. Raises RunnerError for what is no answer.
    """
    parsed = frames.parse(document)
    notes: list[Note] = list(parsed.notes)
    environment = system.environment(parsed, "environment")
    confinement = system.confinement(parsed)
    pci = bus.pci(parsed, notes)
    nodes = bus.nodes(parsed, notes)
    return Host(
        target=target,
        hostname=system.hostname(parsed),
        system=system.system(parsed, notes),
        cpu=system.cpu(parsed, notes),
        memory=system.memory(parsed, notes),
        filesystems=system.filesystems(parsed, notes),
        shared_memory=system.shared_memory(parsed, notes),
        user=system.user(parsed, notes),
        clock=system.clock(parsed, reader, seconds, notes),
        locale=system.locale(parsed),
        confinement=confinement,
        pci=pci,
        ascend=ascend.ascend(parsed, environment, pci, nodes, notes),
        nvidia=nvidia.nvidia(parsed, pci, nodes, notes),
        pythons=software.pythons(parsed, notes),
        tools=software.tools(parsed),
        libraries=software.libraries(parsed),
        engines=engines.engines(parsed, notes),
        containers=engines.containers(parsed),
        ports=network.ports(parsed, notes),
        interfaces=network.interfaces(parsed),
        proxies=network.proxies(parsed, environment),
        indexes=network.indexes(parsed, environment),
        environment=environment,
        init_environment=system.environment(parsed, "first environment") if confinement else {},
        startup=software.config_lines(parsed, "startup"),
        sshd=software.config_lines(parsed, "sshd"),
        limits=system.limits(parsed),
        hard_limits=system.limits(parsed, "hard"),
        model_files=software.model_files(parsed),
        model_configs=software.model_configs(parsed),
        notes=tuple(dict.fromkeys(notes)),
    )
