"""``Archive``: a container's image as a file, for machines that reach no registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paddock.deploy.container.engine import Image
from paddock.deploy.step import Log, Machine
from paddock.deploy.step.transfer import partial, patience, room


@dataclass(frozen=True, slots=True)
class Archive:
    """An image in the form of ``docker save``. ``path`` is where it may lie on the machine.

    With its ``sha256`` (and ``bytes``) it is known which image it is: by ``ids`` engines call it,
    ``layers`` are the SHA-256 of its layers. ``source`` is the file here, that is sent for as long
    as it takes to load it where ``path`` is not that file. Bare hex everywhere.
    """

    path: str
    sha256: str = ""
    bytes: int = 0
    ids: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    source: str | None = None

    @property
    def sent(self) -> str:
        """What it is called on the machine while it is loaded; never somebody else's file."""
        return f"{self.path}.sent"

    @property
    def leftovers(self) -> tuple[str, ...]:
        """What sending it may have left."""
        return (self.sent, partial(self.sent, self.sha256))

    def holds(self, image: Image, stamp: str | None) -> bool:
        """Whether it is this image that the engine has.

        ``stamp`` is what ``self.stamp`` gave for the image that came of it: containerd's store may
        make an id of its own. An engine that tells no id (isula) is believed the name.
        """
        if not self.ids or not re.fullmatch("(sha256:)?[0-9a-f]{64}", image.id):
            return True
        return image.id.removeprefix("sha256:") in self.ids or stamp == self.stamp(image)

    def stamp(self, image: Image) -> str:
        """A line that says which image the engine made of which archive."""
        return f"{self.sha256} {image.id}\n"

    def same_layers(self, image: Image) -> bool:
        """Whether the image has the layers of this archive, whatever its id."""
        return (
            bool(self.layers)
            and tuple(each.removeprefix("sha256:") for each in image.layers) == self.layers
        )

    @contextmanager
    def brought(self, machine: Machine, step: str, log: Log) -> Iterator[str]:
        """The path on the machine of a file that is this archive; removed after if it was sent.

        Raises StepFailed where there is no room, and RunnerError.
        """
        if self.source is None or self._there(machine):
            yield self.path
            return
        hint = "make room there, or name a folder on another disk: --to FOLDER"
        room(machine, step, str(Path(self.path).parent), self._missing(machine), hint)
        machine.send(Path(self.source), self.sent, sha256=self.sha256, log=log)
        yield self.sent
        self.forget(machine)

    def _there(self, machine: Machine) -> bool:
        words = ["sha256sum", "--", self.path]
        output = machine.run(words, timeout=patience(self.bytes))
        return output.ok and output.stdout.startswith(self.sha256)

    def _missing(self, machine: Machine) -> int:
        """Bytes that are still to be sent."""
        script = 'for each; do if [ -f "$each" ]; then wc -c <"$each"; fi; done'
        came = machine.sh(script, *self.leftovers).stdout.split()
        return max(0, self.bytes - sum(map(int, came)))

    def forget(self, machine: Machine) -> None:
        """Removes what was sent, and its folder where nothing else is in that."""
        script = 'rm -f "$1" "$2"; rmdir "$(dirname "$1")" 2>/dev/null || :'
        machine.sh(script, *self.leftovers, timeout=120)
