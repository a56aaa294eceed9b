"""``Engine``: what is asked of docker, podman and isula, and the answers in one form."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from paddock.deploy.container.spec import LABEL, OWNER, ContainerSpec
from paddock.errors import ContainerError

ANSWER_S = 120
"""Seconds for one answer of an engine: on a busy machine a container takes its time to start."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the engine has. ``names`` are its tags, ``size`` is in bytes.

    ``layers`` are the SHA-256 of its layers, as far as ``image`` asked and the engine tells.
    """

    id: str
    names: tuple[str, ...] = ()
    size: int | None = None
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A container, running or not. ``status`` is the engine's word: ``running``, ``exited``, ...

    ``restarts`` is how often the engine started it again, as far as ``find`` asked.
    """

    name: str
    id: str
    image: str = ""
    image_id: str = ""
    status: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    restarts: int = 0

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.status == "running"

    @property
    def ours(self) -> bool:
        """Whether Paddock made it."""
        return LABEL in self.labels

    @property
    def deployment(self) -> str | None:
        """The deployment that it belongs to; None for a container that is not ours."""
        return self.labels.get(OWNER)


class Engine(Protocol):
    """An engine on a machine. All methods raise ContainerError with the engine's own words.

    What is asked about something that is not there answers None; what is done to it is an error.
    """

    @property
    def name(self) -> str:
        """docker, podman or isula."""
        ...

    def images(self) -> list[Image]:
        """The images it has."""
        ...

    def image(self, name: str) -> Image | None:
        """The image of that name or id."""
        ...

    def tag(self, image: str, name: str) -> None:
        """Gives an image (its id) a name, which it is taken from any other."""
        ...

    def remove_image(self, name: str) -> None:
        """Takes the name from an image, and the image away where it was its last."""
        ...

    def containers(self) -> list[Found]:
        """All containers, stopped ones too."""
        ...

    def find(self, name: str) -> Found | None:
        """The container of exactly that name."""
        ...

    def create(self, spec: ContainerSpec) -> None:
        """Makes the container and leaves it stopped."""
        ...

    def start(self, name: str) -> None:
        """Starts a container; one that runs is left alone."""
        ...

    def stop(self, name: str, seconds: int) -> None:
        """Stops a container, by force after ``seconds``; one that is stopped is left alone."""
        ...

    def make_folder(self, name: str, path: str) -> None:
        """Makes an empty folder in a container that need not run."""
        ...

    def rename(self, name: str, to: str) -> None:
        """Gives a container another name."""
        ...

    def remove(self, name: str, *, force: bool = False) -> None:
        """Removes a container; a running one only by ``force``."""
        ...

    def logs(self, name: str) -> str:
        """The last lines that its processes printed."""
        ...


def folder_archive(path: str) -> bytes:
    """A tar of one empty folder and no others: its parents keep their rights."""
    entry = tarfile.TarInfo(path.strip("/"))
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(entry)
    return packed.getvalue()


_HINTS = (
    ("already in use by", "another container has this name: choose another in container.name"),
    ("name is in use", "another container has this name: choose another in container.name"),
    ("no such image|not found: manifest|pull access denied", "pull or load the image first"),
    (
        "gathering device information|no such device",
        "the node is not there or its driver does not answer: look at paddock doctor",
    ),
    ("bind source path does not exist", "make it on the host, or remove the mount"),
    ("address already in use|port is already allocated", "choose another port in container.ports"),
    ("setting rlimit", "lower container.ulimits: the engine may not raise limits that far"),
    ("apply caps", "remove container.privileged and cap_add: the engine itself lacks these rights"),
    ("unknown.{0,40}runtime", "the runtime is not registered: look at paddock doctor"),
    (
        "no space left on device",
        "make room where the engine keeps its data (docker info: Root Dir)",
    ),
    ("permission denied.{0,60}(?:sock|daemon)", "join the group that may use the engine"),
    ("cannot connect to|connection refused|no such file.{0,40}sock", "start the engine's daemon"),
)


def refused(engine: str, action: str, said: str) -> ContainerError:
    """The error for an engine's words, with what to do where they are known."""
    words = " ".join(said.split()) or "no word"
    hint = next((h for pattern, h in _HINTS if re.search(pattern, words, re.IGNORECASE)), None)
    return ContainerError(f"{engine} could not {action}: {words}", hint=hint)
