"""Checks of container engines, their runtimes and the containers that run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Subject


@check
def runtime_not_registered(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """The runtime ``name`` (ascend, nvidia) is installed or configured, and docker has it not.

    Docker also reaches GPUs without the runtime (``--gpus``, CDI), so that nvidia counts only where
    it was configured.
    """
    name = args["name"]
    hook = subject.ascend.docker_runtime if name == "ascend" else None
    for engine in subject.host.engines:
        if engine.name != "docker" or not engine.answers or name in engine.runtimes:
            continue
        if name in engine.configured_runtimes:
            fact = f"the runtime {name} is configured and not loaded: the daemon was not restarted"
            yield Evidence(fact, "/etc/docker/daemon.json, docker info")
        elif hook:
            fact = f"{hook} is there, docker has {', '.join(engine.runtimes) or 'no runtimes'}"
            yield Evidence(fact, "docker info", {"hook": hook})


@check
def engine_silent(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Engines whose client is there and whose daemon does not answer this user."""
    for engine in subject.host.engines:
        if engine.answers is False and engine.problem and engine.name != "podman":
            user = subject.host.user
            values = {"engine": engine.name, "user": user.name or ""}
            yield Evidence(f"{engine.name}: {engine.problem}", f"{engine.name} info", values)


@check
def visible_devices_beyond(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """ASCEND_RT_VISIBLE_DEVICES names devices that are not here: it counts what is visible."""
    value = subject.host.environment.get("ASCEND_RT_VISIBLE_DEVICES", "")
    chips = [n for n in subject.ascend.nodes if re.fullmatch(r"/dev/davinci\d+", n.path)]
    count = len(chips)
    if not count or not re.fullmatch(r"\d+(?:,\d+)*", value):
        return
    beyond = [number for number in value.split(",") if int(number) >= count]
    if beyond:
        fact = (
            f"ASCEND_RT_VISIBLE_DEVICES is {value}, and there are {count} chips, 0 to {count - 1}"
        )
        right = ",".join(map(str, range(min(count, len(value.split(","))))))
        yield Evidence(fact, "environment, /dev", {"devices": right})


@check
def card_given_twice(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A card that two running containers were given."""
    holders: dict[str, list[str]] = {}
    for container in subject.host.containers:
        for device in container.devices:
            if re.fullmatch(r"/dev/davinci\d+", device):
                holders.setdefault(device, []).append(container.name)
    for device, names in holders.items():
        if len(names) > 1:
            fact = f"{device} is given to {', '.join(names)}"
            yield Evidence(fact, "inspect of the containers", {"container": names[-1]})


@check
def ports_on_host_network(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Containers on the host's network that were told to publish ports."""
    for container in subject.host.containers:
        if container.network == "host" and container.published:
            fact = f"{container.name} publishes {', '.join(container.published)} on network host"
            yield Evidence(fact, f"{container.engine} inspect", {"container": container.name})


@check
def privileged(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Containers that are root on the host."""
    for container in subject.host.containers:
        if container.privileged:
            fact = f"{container.name} runs with --privileged"
            yield Evidence(fact, f"{container.engine} inspect", {"container": container.name})
