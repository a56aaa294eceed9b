"""An engine through its own command line, on any machine: isula, and whoever has no socket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from paddock.deploy.container.argv import argv
from paddock.deploy.container.engine import ANSWER_S, Found, Image, folder_archive, refused
from paddock.deploy.container.spec import ContainerSpec
from paddock.deploy.step import Machine
from paddock.errors import ContainerError, UsageError
from paddock.shell import NOT_FOUND, Output

# Values of variables come on stdin: a command line is seen in the process list.
_WITH_VARIABLES = r"""
while IFS= read -r line; do export "$line"; done
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class CommandLineEngine:
    """See ``Engine``. ``machine`` has the engine's client on its PATH."""

    name: str
    machine: Machine

    def close(self) -> None:
        """Nothing is held open."""

    def images(self) -> list[Image]:
        """See Engine."""
        rows = self._lines("list images", "images", "-q")
        known = dict.fromkeys(rows)
        return [image for row in known if (image := self.image(row))]

    def image(self, name: str) -> Image | None:
        """See Engine."""
        words = ["inspect", name] if self.name == "isula" else ["image", "inspect", name]
        row = self._inspect(words)
        if row is None or ("Config" in row and "State" in row):
            return None  # isula's inspect finds containers too
        identity = row.get("Id") or row.get("image", {}).get("id", "")
        tags = row.get("RepoTags") or row.get("image", {}).get("repo_tags") or ()
        layers = (row.get("RootFS") or {}).get("Layers") or ()
        return Image(str(identity), tuple(tags), row.get("Size"), tuple(layers))

    def tag(self, image: str, name: str) -> None:
        """See Engine."""
        self._do(f"name the image {name}", "tag", image, name)

    def remove_image(self, name: str) -> None:
        """See Engine."""
        self._do(f"remove the image {name}", "rmi", name)

    def containers(self) -> list[Found]:
        """See Engine."""
        rows = self._lines("list containers", "ps", "-a", "-q")
        return [found for row in rows if (found := self._found(row))]

    def find(self, name: str) -> Found | None:
        """See Engine."""
        found = self._found(name)
        return found if found and found.name == name else None

    def create(self, spec: ContainerSpec) -> None:
        """See Engine."""
        words = argv(spec, hidden=spec.environment)
        for name, value in spec.environment.items():
            if "\n" in value:
                raise UsageError(
                    f"container.environment has {name} with a line end in it",
                    hint=f"{self.name}'s command line takes none; use a mounted file",
                )
        variables = "".join(f"{k}={v}\n" for k, v in spec.environment.items())
        output = self.machine.sh(_WITH_VARIABLES, *words, stdin=variables, timeout=ANSWER_S)
        self._check(f"create the container {spec.name}", output)

    def start(self, name: str) -> None:
        """See Engine."""
        self._do(f"start the container {name}", "start", name)

    def stop(self, name: str, seconds: int) -> None:
        """See Engine."""
        self._do(f"stop the container {name}", "stop", "-t", str(seconds), name)

    def make_folder(self, name: str, path: str) -> None:
        """See Engine."""
        words = [self.name, "cp", "-", f"{name}:/"]
        output = self.machine.run(words, stdin=folder_archive(path), timeout=ANSWER_S)
        self._check(f"make {path} in the container {name}", output)

    def rename(self, name: str, to: str) -> None:
        """See Engine."""
        self._do(f"rename the container {name}", "rename", name, to)

    def remove(self, name: str, *, force: bool = False) -> None:
        """See Engine."""
        self._do(f"remove the container {name}", "rm", *(["-f"] if force else []), name)

    def logs(self, name: str) -> str:
        """See Engine."""
        output = self.machine.run([self.name, "logs", "--tail", "50", name], timeout=ANSWER_S)
        return output.stdout + output.stderr

    def _found(self, name: str) -> Found | None:
        words = ["inspect", name] if self.name == "isula" else ["container", "inspect", name]
        row = self._inspect(words)
        if row is None or "State" not in row:
            return None
        config = row.get("Config", {})
        return Found(
            name=str(row.get("Name", "")).lstrip("/"),
            id=str(row.get("Id", "")),
            image=str(config.get("Image") or row.get("ImageName") or ""),
            image_id=str(row.get("Image", "")),
            status=str(row["State"].get("Status", "")),
            labels=config.get("Labels") or {},
            restarts=int(row.get("RestartCount") or 0),
        )

    def _inspect(self, words: list[str]) -> dict[str, Any] | None:
        output = self.machine.run([self.name, *words], timeout=ANSWER_S)
        missing = output.exit_code != NOT_FOUND and "no such" in output.stderr.lower()
        if missing or "no container with name" in output.stderr.lower():
            return None
        self._check("inspect", output)
        try:
            rows = json.loads(output.stdout)
        except ValueError as error:
            raise refused(self.name, "inspect", f"its answer is not JSON: {error}") from error
        row: dict[str, Any] | None = rows[0] if rows else None
        return row

    def _lines(self, action: str, *words: str) -> list[str]:
        return self._do(action, *words).stdout.split()

    def _do(self, action: str, *words: str) -> Output:
        output = self.machine.run([self.name, *words], timeout=ANSWER_S)
        self._check(action, output)
        return output

    def _check(self, action: str, output: Output) -> None:
        if output.exit_code == NOT_FOUND and not output.stdout:
            raise ContainerError(
                f"there is no {self.name} on {self.machine.target}: {output.stderr.strip()}",
                hint="install it, or name another engine",
            )
        if not output.ok:
            raise refused(self.name, action, output.stderr or output.stdout)
