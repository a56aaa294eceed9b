"""``Stackfile``: what a person wishes for, as ``paddock.yaml`` says it.

Every key of the file is a field here, in the same place and with the same name; defaults make the
empty file a good one: this machine, no container, the built-in model served on loopback.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerWish:
    """The container, or none. ``devices``: ``auto`` (all cards the host has), ``none``, or numbers.

    ``mounts`` read ``SOURCE:TARGET[:ro]``, ``ports`` ``[ADDRESS:]HOST:CONTAINER``, sizes ``128G``.
    """

    engine: Literal["auto", "docker", "podman", "isula", "none"] = "none"
    image: str | None = None
    name: str | None = None
    devices: Literal["auto", "none"] | tuple[int, ...] = "auto"
    mounts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    network: str = "bridge"
    ipc: str | None = None
    shm: str | None = None
    pids: int | None = None
    ulimits: dict[str, int] = field(default_factory=dict)
    workdir: str = "/workspace"
    user: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    privileged: bool = False
    restart: str = "unless-stopped"
    cap_add: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SshWish:
    """An SSH server in the container. ``keys`` are public keys, or files of them here."""

    port: int = 223
    keys: tuple[str, ...] = ()
    users: tuple[str, ...] = ("root",)
    alive_interval: int = 30
    alive_count: int = 10
    root_password: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonWish:
    """Where the frameworks live. ``version`` ``auto`` is the Stack's; ``installer`` is a conda
    installer's path or address where the machine has no conda.
    """

    manager: Literal["auto", "conda", "uv", "venv"] = "auto"
    version: str = "auto"
    environment: str = "paddock"
    installer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackWish:
    """The versions: a framework of the catalogue, pins (``cann: 7.0.0``) and accepted risks.

    ``framework`` ``auto`` goes by the accelerator; ``paddock`` is this program's own runtimes.
    ``artifacts`` is a folder of installers and wheels, or a bundle.
    """

    framework: str = "auto"
    pins: dict[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    artifacts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeWish:
    """The server. ``options`` are further words for ``paddock serve``."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 8000
    api_key_file: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtrasWish:
    """Further services on their ports, None for none. Each asks for a token where it can."""

    jupyter: int | None = None
    tensorboard: int | None = None
    mindinsight: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrors:
    """Base addresses to fetch from instead of the usual ones; None leaves a machine's own."""

    apt: str | None = None
    pip: str | None = None
    conda: str | None = None
    hub: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """One machine: ``address`` is ``local`` or ``ssh://user@host:port``.

    ``groups`` are names for ``--limit``. ``override`` holds keys of the file that differ here.
    """

    name: str
    address: str = "local"
    groups: tuple[str, ...] = ()
    override: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stackfile:
    """A whole deployment. ``name`` is also the default name of its container and service."""

    version: Literal[1] = 1
    name: str = "llama"
    preset: str | None = None
    hosts: tuple[HostEntry, ...] = (HostEntry(name="local"),)
    container: ContainerWish = field(default_factory=ContainerWish)
    ssh: SshWish | None = None
    python: PythonWish = field(default_factory=PythonWish)
    stack: StackWish = field(default_factory=StackWish)
    model: str | None = None
    serve: ServeWish = field(default_factory=ServeWish)
    extras: ExtrasWish = field(default_factory=ExtrasWish)
    mirrors: Mirrors = field(default_factory=Mirrors)

    @property
    def container_name(self) -> str:
        """The container's name."""
        return self.container.name or self.name
