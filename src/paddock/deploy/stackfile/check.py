"""Every value of a stack file, and whether they contradict each other."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import partial

from paddock.deploy.stackfile.document import Document, Place
from paddock.deploy.stackfile.model import ContainerWish, HostEntry, Stackfile
from paddock.errors import UsageError
from paddock.shell import SshRunner

Fault = tuple[Place, str, str | None]
"""A place, what is wrong with it, and what to do."""

# At least two characters: Docker refuses a shorter container name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,62}")
_ENTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIZE = re.compile(r"[1-9]\d*[bkmgt]?", re.IGNORECASE)
_USER = re.compile(r"[a-z_0-9][\w.-]*(:[a-z_0-9][\w.-]*)?")
_IMAGE = re.compile(r"[a-z0-9][\w./:@-]*", re.IGNORECASE)

_RESTART = re.compile(r"no|always|unless-stopped|on-reboot|on-failure(:\d+)?")
_IPC = re.compile(r"none|private|shareable|host|container:[\w.-]+")
_NETWORK = re.compile(r"[A-Za-z0-9][\w.:-]*")

_FORMS = (
    ("name", _NAME, "two or more letters, digits, . _ -"),
    ("image", _IMAGE, "an image's name, as in ubuntu:20.04"),
    ("shm", _SIZE, "a size, as in 128G or 512M"),
    ("workdir", re.compile(r"/.*"), "a path that begins with /"),
    ("user", _USER, "a user's name or number, as in root or 1000:1000"),
    ("ipc", _IPC, "host, private, shareable, none or container:NAME"),
    ("network", _NETWORK, "bridge, host, none or a network's name"),
    ("restart", _RESTART, "no, always, unless-stopped or on-failure:N"),
)
"""Keys of ``container``, what each must look like, and that in words."""

LIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)
"""What ``ulimits`` may name: Docker's list."""


def check(file: Stackfile, found: Document) -> None:
    """Raises UsageError for the first fault, with its line."""
    for place, message, hint in faults(file):
        raise found.fault(place, message, hint=hint)


def faults(file: Stackfile) -> Iterator[Fault]:
    """Everything that is wrong with a stack file."""
    if not _NAME.fullmatch(file.name):
        yield ("name",), f"{file.name!r} is no name", "two or more letters, digits, . _ -"
    yield from _hosts(file.hosts)
    if file.container.engine == "none":
        yield from _no_container(file)
    else:
        yield from _container(file.container)
        yield from _network(file)
    yield from _ssh(file)
    yield from _services(file)
    yield from _versions(file)
    yield from _mirrors(file)


def _hosts(hosts: tuple[HostEntry, ...]) -> Iterator[Fault]:
    if not hosts:
        yield ("hosts",), "there is no host", "leave it away for this machine"
    names: dict[str, int] = {}
    groups = {group for entry in hosts for group in entry.groups}
    for number, entry in enumerate(hosts):
        place: Place = ("hosts", number)
        if not _ENTRY.fullmatch(entry.name):
            yield (*place, "name"), f"{entry.name!r} is no name", "letters, digits, . _ -"
        if entry.name in names:
            yield (*place, "name"), f"{entry.name!r} is the name of an earlier host too", None
        if entry.name in groups:
            yield (*place, "name"), f"{entry.name!r} is a group's name too", "--limit takes either"
        names[entry.name] = number
        if entry.address != "local":
            if not entry.address.startswith("ssh://"):
                yield (
                    (*place, "address"),
                    f"{entry.address!r} is no address",
                    "write local, or ssh://user@host:port",
                )
            else:
                yield from _said((*place, "address"), partial(SshRunner.parse, entry.address))
        for i, group in enumerate(entry.groups):
            if not _ENTRY.fullmatch(group):
                yield (*place, "groups", i), f"{group!r} is no name", "letters, digits, . _ -"


def _said(place: Place, tried: Callable[[], object]) -> Iterator[Fault]:
    """What another room says about a value, as a fault of this place."""
    try:
        tried()
    except UsageError as error:
        yield place, error.message, error.hint


def _no_container(file: Stackfile) -> Iterator[Fault]:
    """What only a container can have."""
    default = ContainerWish()
    for key in ("image", "name", "mounts", "ports", "shm", "pids", "ulimits", "privileged"):
        if getattr(file.container, key) != getattr(default, key):
            yield (
                ("container", key),
                "there is no container that could have this",
                "set container.engine: auto, or leave it away",
            )
    if file.ssh is not None:
        yield (
            ("ssh",),
            "this is the SSH server of a container, and there is none",
            "set container.engine, or leave ssh away: the machine has its own server",
        )


def _container(wish: ContainerWish) -> Iterator[Fault]:
    place: Place = ("container",)
    for key, form, hint in _FORMS:
        value = getattr(wish, key)
        if value is not None and not form.fullmatch(value):
            yield (*place, key), f"{value!r} is not one", hint
    if wish.shm is not None and wish.ipc == "host":
        yield (
            (*place, "shm"),
            "with ipc: host the container has the host's /dev/shm, whatever its size",
            "leave shm or ipc away",
        )
    if isinstance(wish.devices, tuple):
        yield from _devices(wish.devices)
    if wish.pids is not None and wish.pids < 1 and wish.pids != -1:
        yield (*place, "pids"), f"{wish.pids} is no number of processes", "-1 for no limit"
    yield from _ulimits(wish.ulimits)
    for name in wish.environment:
        if not _VARIABLE.fullmatch(name):
            yield (*place, "environment", name), "this is no variable's name", None
    for i, name in enumerate(wish.cap_add):
        if not re.fullmatch(r"(CAP_)?[A-Z_]+", name):
            yield (*place, "cap_add", i), f"{name!r} is no capability", "as in: SYS_PTRACE"
    yield from _mounts(wish.mounts)


def _ulimits(limits: dict[str, int]) -> Iterator[Fault]:
    for name, value in limits.items():
        place: Place = ("container", "ulimits", name)
        if name not in LIMITS:
            yield place, "there is no such limit", f"known are {', '.join(LIMITS)}"
        elif value < -1:
            yield place, f"{value} is no limit", "-1 for none"


def _devices(devices: tuple[int, ...]) -> Iterator[Fault]:
    place: Place = ("container", "devices")
    if not devices:
        yield place, "this list is empty", "write none, or leave it away for all"
    for i, number in enumerate(devices):
        if number < 0:
            yield (*place, i), f"{number} is no device's number", None
        if number in devices[:i]:
            yield (*place, i), f"{number} is in the list twice", None


def _mounts(mounts: tuple[str, ...]) -> Iterator[Fault]:
    targets: set[str] = set()
    for i, text in enumerate(mounts):
        place: Place = ("container", "mounts", i)
        parts = text.split(":")
        if len(parts) == 3 and parts[2] not in ("ro", "rw"):
            yield place, f"{parts[2]!r} is no mode of a mount", "ro or rw"
        if len(parts) not in (2, 3) or not all(parts[:2]):
            yield place, f"{text!r} is no mount", "write SOURCE:TARGET or SOURCE:TARGET:ro"
            continue
        source, target = parts[:2]
        if not source.startswith(("/", "~/", "./")) and source != "~":
            yield place, f"the source {source!r} is no path", "begin it with /, ~/ or ./"
        if not target.startswith("/"):
            yield place, f"the target {target!r} does not begin with /", None
        if target.rstrip("/") in targets:
            yield place, f"something is mounted at {target} already", None
        targets.add(target.rstrip("/"))


def port_of(text: str) -> tuple[str | None, int, int]:
    """``[ADDRESS:]HOST:CONTAINER`` as its parts. Raises UsageError."""
    address, _, rest = text.rpartition(":")[0].rpartition(":")
    if not address and ":" in text and text.count(":") == 1:
        rest = text.partition(":")[0]
    inner = text.rpartition(":")[2]
    if ":" not in text or not rest.isdecimal() or not inner.isdecimal():
        raise UsageError(f"{text!r} is no port", hint="write HOST:CONTAINER, as in 224:6006")
    if address:
        try:
            ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            raise UsageError(f"{address!r} is no address", hint="as in 127.0.0.1") from None
    for number in (int(rest), int(inner)):
        if not 1 <= number <= 65535:
            raise UsageError(f"{number} is no port", hint="1 to 65535")
    return address.strip("[]") or None, int(rest), int(inner)


def _network(file: Stackfile) -> Iterator[Fault]:
    wish = file.container
    taken: set[tuple[str | None, int]] = set()
    for i, text in enumerate(wish.ports):
        place: Place = ("container", "ports", i)
        bad = list(_said(place, partial(port_of, text)))
        yield from bad
        if bad:
            continue
        address, outer, _ = port_of(text)
        if (address, outer) in taken:
            yield place, f"port {outer} is published twice", None
        taken.add((address, outer))
    if wish.ports and wish.network in ("host", "none"):
        yield (
            ("container", "ports"),
            f"with network: {wish.network} no port is published",
            "leave ports away (services listen on the host's ports themselves), or network",
        )


def _ssh(file: Stackfile) -> Iterator[Fault]:
    wish = file.ssh
    if wish is None:
        return
    yield from _port(("ssh", "port"), wish.port)
    if not wish.keys and not wish.root_password:
        yield (
            ("ssh", "keys"),
            "nobody could log in: there is no key",
            "as in: [~/.ssh/id_ed25519.pub]",
        )
    if not wish.users:
        yield ("ssh", "users"), "nobody may log in", "name at least one"
    for key in ("alive_interval", "alive_count"):
        if getattr(wish, key) < 0:
            yield ("ssh", key), f"{getattr(wish, key)} is less than 0", None


def _port(place: Place, number: int) -> Iterator[Fault]:
    if not 1 <= number <= 65535:
        yield place, f"{number} is no port", "1 to 65535"


def _services(file: Stackfile) -> Iterator[Fault]:
    ports: dict[int, str] = {}
    wanted = {"serve.port": file.serve.port if file.serve.enabled else None}
    wanted |= {"ssh.port": file.ssh.port if file.ssh else None}
    extras = file.extras
    wanted |= {f"extras.{n}": getattr(extras, n) for n in ("jupyter", "tensorboard", "mindinsight")}
    for name, number in wanted.items():
        if number is None:
            continue
        place: Place = tuple(name.split("."))
        yield from _port(place, number)
        if number in ports:
            yield place, f"port {number} is that of {ports[number]} too", "choose another"
        ports[number] = name
    if extras.mindinsight is not None and file.stack.framework not in ("auto", "mindspore"):
        yield (
            ("extras", "mindinsight"),
            f"MindInsight shows what MindSpore wrote, and the framework is {file.stack.framework}",
            "set stack.framework: mindspore, or leave it away",
        )
    yield from _serve(file)


def _serve(file: Stackfile) -> Iterator[Fault]:
    wish = file.serve
    if file.model is not None and (not file.model or file.model.startswith((".", "~", "-"))):
        yield ("model",), f"{file.model!r} is no model", "a name, or a whole path on the target"
    try:
        loopback = wish.host == "localhost" or ipaddress.ip_address(wish.host).is_loopback
    except ValueError:
        yield ("serve", "host"), f"{wish.host!r} is no address", "as in 127.0.0.1 or 0.0.0.0"
        return
    if wish.enabled and not (loopback or wish.api_key_file or "--insecure" in wish.options):
        yield (
            ("serve", "host"),
            f"{wish.host} can be reached from other machines, and no API key is asked for",
            "make one (paddock key new NAME --file keys) and set serve.api_key_file: keys",
        )
    if wish.enabled and not (wish.api_key_file or "--insecure" in wish.options):
        yield from _open_ports(file)
    own = {"--host": "host", "--port": "port", "--api-key-file": "api_key_file"}
    for i, word in enumerate(wish.options):
        key = own.get(word.partition("=")[0])
        if key is not None:
            yield ("serve", "options", i), f"{word} has a key of its own", f"set serve.{key}"


def _open_ports(file: Stackfile) -> Iterator[Fault]:
    """Published ports through which other machines would reach a server that asks for no key."""
    for i, text in enumerate(file.container.ports):
        try:
            address, _, inner = port_of(text)
        except UsageError:
            continue  # said already
        if inner != file.serve.port:
            continue
        if address is None or not ipaddress.ip_address(address).is_loopback:
            yield (
                ("container", "ports", i),
                "other machines reach the server through this port, and no API key is asked for",
                f"publish 127.0.0.1:{text}, or set serve.api_key_file",
            )


def _versions(file: Stackfile) -> Iterator[Fault]:
    if not _ENTRY.fullmatch(file.python.environment):
        yield ("python", "environment"), f"{file.python.environment!r} is no name", None
    if file.python.version != "auto" and not re.fullmatch(r"3(\.\d+){1,2}", file.python.version):
        yield ("python", "version"), f"{file.python.version!r} is no version", "as in '3.10'"
    if file.stack.framework == "paddock" and file.stack.pins:
        yield (
            ("stack", "pins"),
            "Paddock's own runtimes need no versions matched",
            "leave the pins away, or name another framework",
        )


def _mirrors(file: Stackfile) -> Iterator[Fault]:
    for key in ("apt", "pip", "conda", "hub"):
        value = getattr(file.mirrors, key)
        if value is None:
            continue
        if not re.match(r"(https?|file)://[^\s/]*", value):
            yield ("mirrors", key), f"{value!r} is no address", "as in https://mirror.example/pypi"
        elif re.match(r"\w+://[^/\s]*@", value):
            yield (
                ("mirrors", key),
                "a user or password in an address ends up in logs",
                "put it where the tool keeps credentials (~/.netrc, auth.conf)",
            )
