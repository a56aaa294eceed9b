"""``ContainerSpec``: one container, told completely and for no engine in particular."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from paddock.deploy import typed
from paddock.errors import UsageError

LABEL = "io.paddock.spec"
"""The label with the spec's JSON: a container that has it is ours, and of what it was made."""

OWNER = "io.paddock.deployment"
"""The label with the name of the deployment that a container belongs to."""

EngineName = Literal["docker", "podman", "isula"]


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the host's in the container. ``source`` must exist when it is created."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A TCP port of the container's on one of the host's; ``address`` empty is every address."""

    host: int
    container: int
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """Everything that decides what a container is. Equal specs make equal containers.

    ``devices`` are nodes of the host's, given under the same name; ``gpus`` is ``all`` or GPU
    numbers (``0,1``) for an engine with NVIDIA's toolkit, ``cdi`` are device names of the Container
    Device Interface, ``runtime`` an OCI runtime registered at the engine. ``groups`` are further
    group numbers of the container's user. ``shm`` is the size of /dev/shm in bytes. ``ulimits`` are
    soft and hard limit alike, -1 for none. ``command`` None is the image's own. None everywhere
    else is the engine's default.
    """

    name: str
    image: str
    engine: EngineName = "docker"
    deployment: str = ""
    command: tuple[str, ...] | None = None
    devices: tuple[str, ...] = ()
    gpus: str | None = None
    cdi: tuple[str, ...] = ()
    runtime: str | None = None
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Published, ...] = ()
    network: str = "bridge"
    hostname: str | None = None
    ipc: str | None = None
    shm: int | None = None
    pids: int | None = None
    ulimits: dict[str, int] = field(default_factory=dict)
    workdir: str | None = None
    user: str | None = None
    groups: tuple[int, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    restart: str = "no"
    stop_seconds: int = 30

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
        import msgspec

        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    def to_json(self) -> str:
        """The spec on one line, keys sorted: the same text for equal specs."""
        import msgspec

        return msgspec.json.encode(self, order="sorted").decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> ContainerSpec:
        """The spec that ``to_json`` wrote. Raises UsageError for anything else."""
        import msgspec

        try:
            return typed.decode(text, cls)
        except msgspec.MsgspecError as error:
            raise UsageError(f"this is not a container's description: {error}") from error

    @property
    def digest(self) -> str:
        """SHA-256 of ``to_json``, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def labels(self) -> dict[str, str]:
        """What marks the container as made by Paddock, of this spec."""
        # Variables' values stay out: labels are shown where environments are not.
        public = replace(self, environment=_digests(self.environment))
        return {LABEL: public.to_json(), OWNER: self.deployment or self.name}

    def differences(self, label: str | None) -> Iterator[tuple[str, str | None, str | None]]:
        """What differs from a container whose LABEL reads ``label``: option, there, wanted.

        A label that this version cannot read differs as a whole.
        """
        try:
            there = ContainerSpec.from_json(label or "").to_dict()
        except UsageError:
            yield "description", "of another version of paddock", "of this one"
            return
        wanted = replace(self, environment=_digests(self.environment)).to_dict()
        for option, value in wanted.items():
            if there.get(option) != value:
                yield from _difference(option, there.get(option), value)


def _digests(environment: dict[str, str]) -> dict[str, str]:
    """Values as short digests: a change is seen, a value is not."""
    return {
        name: hashlib.sha256(value.encode()).hexdigest()[:12] for name, value in environment.items()
    }


def _difference(
    option: str, there: Any, wanted: Any
) -> Iterator[tuple[str, str | None, str | None]]:
    """One line for each element that a list or table gained or lost."""
    if isinstance(wanted, dict) and isinstance(there, dict):
        # Values of variables may be secrets.
        old, new = (("set",), ("set to another value",)) if option == "environment" else ((), ())
        for key in sorted(there.keys() | wanted.keys()):
            if there.get(key) != wanted.get(key):
                before, after = (
                    None if key not in table else words[0] if words else str(table[key])
                    for table, words in ((there, old), (wanted, new))
                )
                yield f"{option} {key}", before, after
    elif isinstance(wanted, tuple) and isinstance(there, tuple) and option != "command":
        for each in there:
            if each not in wanted:
                yield option, _text(each), None
        for each in wanted:
            if each not in there:
                yield option, None, _text(each)
        if sorted(map(_text, there)) == sorted(map(_text, wanted)):
            yield f"order of {option}", " ".join(map(_text, there)), " ".join(map(_text, wanted))
    else:
        yield option, _text(there), _text(wanted)


def _text(value: Any) -> str:
    if isinstance(value, dict) and "source" in value:
        return f"{value['source']}:{value['target']}" + (":ro" if value["read_only"] else "")
    if isinstance(value, dict) and "container" in value:
        address = f"{value['address']}:" if value["address"] else ""
        return f"{address}{value['host']}:{value['container']}"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "not set" if value is None else str(value)
