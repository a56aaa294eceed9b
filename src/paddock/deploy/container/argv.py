"""From a spec to the words of each engine's command line: pure functions, nothing is run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from paddock.deploy.container.spec import ContainerSpec, Mount
from paddock.errors import UsageError

Verb = Literal["create", "run"]


def argv(spec: ContainerSpec, verb: Verb = "create", *, hidden: Collection[str] = ()) -> list[str]:
    """The command that makes the container: ``create`` leaves it stopped, ``run`` starts it.

    The variables ``hidden`` are named without their values, which the engine's client then takes
    from its own environment.

    Binds are given by ``--mount``: ``-v`` would make an empty folder of root's where the source is
    missing. Raises UsageError for what the spec's engine has no option for.
    """
    words = {"docker": docker, "podman": podman, "isula": isula}[spec.engine](spec, hidden)
    return [spec.engine, verb, *(["-d"] if verb == "run" else []), *words]


def docker(spec: ContainerSpec, hidden: Collection[str] = ()) -> list[str]:
    """The words after ``docker create``. Source: docker-create(1) of 20.10."""
    return [
        *("--name", spec.name),
        *_identity(spec, "--network"),
        *(["--stop-timeout", str(spec.stop_seconds)]),
        *(["--runtime", spec.runtime] if spec.runtime else []),
        # The value is one field of a CSV line: several GPUs need quotes around it.
        *(
            ["--gpus", spec.gpus if spec.gpus == "all" else f'"device={spec.gpus}"']
            if spec.gpus
            else []
        ),
        *_each("--device", (*spec.devices, *spec.cdi)),
        *_shared(spec, hidden),
        *_each("--publish", _published(spec)),
        *_end(spec),
    ]


def podman(spec: ContainerSpec, hidden: Collection[str] = ()) -> list[str]:
    """The words after ``podman create``. Source: podman-create(1) of 4.3."""
    if spec.gpus:
        raise UsageError(
            f"podman has no --gpus (wished: {spec.gpus})",
            hint="it takes GPUs by CDI: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        )
    return [
        *("--name", spec.name),
        *_identity(spec, "--network"),
        *(["--stop-timeout", str(spec.stop_seconds)]),
        *(["--runtime", spec.runtime] if spec.runtime else []),
        *_each("--device", (*spec.devices, *spec.cdi)),
        *_shared(spec, hidden),
        *_each("--publish", _published(spec)),
        *_end(spec),
    ]


ISULA_RESTART = ("no", "always", "on-reboot")
"""iSula's restart policies besides ``on-failure[:N]``. Source: isula create --help."""


def isula(spec: ContainerSpec, hidden: Collection[str] = ()) -> list[str]:
    """The words after ``isula create``.

    Source: src/cmd/isula/base/create.h and src/utils/cutils/utils_mount_spec.c of iSulad.
    """
    if spec.gpus or spec.cdi:
        raise UsageError("isula gives no NVIDIA GPUs", hint="use docker or podman on this host")
    if spec.ports:
        raise UsageError(
            f"isula publishes no ports unless it was built to (wished: {_published(spec)[0]})",
            hint="set container.network to host; what listens inside then uses the outer port",
        )
    if spec.restart not in ISULA_RESTART and not spec.restart.startswith("on-failure"):
        raise UsageError(
            f"isula knows no restart policy {spec.restart!r}",
            hint=f"known are {', '.join(ISULA_RESTART)}, on-failure[:N]",
        )
    return [
        *("--name", spec.name),
        *_identity(spec, "--net"),
        *(["--runtime", spec.runtime] if spec.runtime else []),
        *_each("--device", spec.devices),
        *_shared(spec, hidden),
        *_end(spec),
    ]


def _identity(spec: ContainerSpec, network: str) -> Iterator[str]:
    for name, value in spec.labels.items():
        yield from ("--label", f"{name}={value}")
    yield from (network, spec.network)
    if spec.hostname:
        yield from ("--hostname", spec.hostname)
    yield from ("--restart", spec.restart)


def _shared(spec: ContainerSpec, hidden: Collection[str]) -> Iterator[str]:
    """What all three call by the same name."""
    yield from _each("--group-add", map(str, spec.groups))
    yield from _each("--mount", map(mount, spec.mounts))
    if spec.ipc:
        yield from ("--ipc", spec.ipc)
    if spec.shm is not None:
        yield from ("--shm-size", str(spec.shm))
    if spec.pids is not None:
        yield from ("--pids-limit", str(spec.pids))
    yield from _each("--ulimit", (f"{k}={v}:{v}" for k, v in sorted(spec.ulimits.items())))
    if spec.privileged:
        yield "--privileged"
    yield from _each("--cap-add", spec.cap_add)
    if spec.workdir:
        yield from ("--workdir", spec.workdir)
    if spec.user:
        yield from ("--user", spec.user)
    for name, value in sorted(spec.environment.items()):
        yield from ("--env", name if name in hidden else f"{name}={value}")


def _end(spec: ContainerSpec) -> Iterator[str]:
    """The image and what runs in it; an entry point of the image's is replaced with the command."""
    if spec.command is not None:
        yield from ("--entrypoint", spec.command[0])
    yield spec.image
    yield from (spec.command or ())[1:]


def _published(spec: ContainerSpec) -> list[str]:
    found = []
    for port in spec.ports:
        address = f"[{port.address}]" if ":" in port.address else port.address
        found.append(f"{address}:{port.host}:{port.container}".lstrip(":"))
    return found


def mount(each: Mount) -> str:
    """A bind as ``--mount`` takes it. Raises UsageError for a path that it cannot hold."""
    for path in (each.source, each.target):
        if set(path) & set(',="\n'):
            raise UsageError(
                f"the mount {path!r} has a comma, an equals sign, a quote or a line end in it",
                hint="make a link to it under a plain name and mount that",
            )
    words = f"type=bind,source={each.source},target={each.target}"
    return f"{words},readonly" if each.read_only else words


def _each(
    option: str, values: Iterator[str] | tuple[str, ...] | list[str] | map[str]
) -> Iterator[str]:
    for value in values:
        yield from (option, value)
