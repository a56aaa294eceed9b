"""What lets people in: public keys from texts or files here; a password only where asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock import settings
from paddock.deploy.step import HOST, Ask, Change, FileStep, Log, Machine, State
from paddock.errors import StepFailed, UsageError

_KEY = re.compile(r"(?:ssh-(?:rsa|ed25519)|ecdsa-sha2-\w+|sk-[\w-]+@openssh\.com) [A-Za-z0-9+/]+=*")
"""The kinds of key that OpenSSH takes today (no DSA), and the key itself; a comment may follow."""

_SEEN = ("passwd", "-S", "root")


@dataclass(frozen=True, slots=True)
class AuthorizedKeysStep:
    """A file of the public keys in ``keys``: each a key, or a file of keys on this machine.

    The files are read when the step runs, so that the step itself stays what it was planned as.
    """

    id: str
    title: str
    why: str
    path: str
    keys: tuple[str, ...]
    mode: int = 0o600
    on: str = HOST

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return self._file(()).asks

    def check(self, machine: Machine) -> State:
        """See Step."""
        return self._file(public_keys(self.keys)).check(machine)

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step."""
        self._file(public_keys(self.keys)).apply(machine, log)

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step: what was there is put back; nothing of ours has to be read for it."""
        if before.get("text") is None:
            machine.run(["rm", "-f", self.path])
        else:
            self._file(()).undo(machine, before, log)

    def script(self) -> str:
        """See Step."""
        return self._file(public_keys(self.keys)).script()

    def _file(self, keys: tuple[str, ...]) -> FileStep:
        text = "# Written by Paddock.\n" + "".join(f"{key}\n" for key in keys)
        owner = "root:root"
        return FileStep(self.id, self.title, self.why, self.path, text, self.mode, owner, self.on)


def public_keys(words: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that texts and files hold, each once, in their order.

    Raises UsageError for a file that is not there, for one without a key, and for a private key.
    """
    found: dict[str, None] = {}
    for word in words:
        if _KEY.match(word.strip()):
            found[word.strip()] = None
            continue
        path = Path(word).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"ssh.keys: {word!r} is neither a public key nor a file that can be read",
                hint="make one with: ssh-keygen -t ed25519; then name ~/.ssh/id_ed25519.pub",
            ) from error
        if "PRIVATE KEY" in text:
            raise UsageError(
                f"ssh.keys: {word} is a private key, which must leave this machine never",
                hint=f"name {word}.pub",
            )
        lines = [line.strip() for line in text.splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys or not all(_KEY.search(line) for line in keys):
            raise UsageError(
                f"ssh.keys: {word} holds no public keys, one on each line",
                hint="as in ~/.ssh/id_ed25519.pub",
            )
        found.update(dict.fromkeys(keys))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class RootPasswordStep:
    """A password for root, for whoever insists. It is never stored and never in a command line."""

    on: str = HOST
    id: str = "ssh.root-password"
    title: str = "root has a password"
    why: str = "ssh.root_password; a key is safer"

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return (_SEEN,)

    def check(self, machine: Machine) -> State:
        """See Step. Whether there is one is all that can be told."""
        state = _state(machine)
        if state == "P":
            return State((), {"state": state})
        return State((Change("password of root", None, "set"),), {"state": state})

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step."""
        password = settings.root_password()
        if password is None:
            raise StepFailed(
                self.id,
                machine.target,
                "no password was given",
                hint="set PADDOCK_ROOT_PASSWORD for this one command, or better: leave out"
                " ssh.root_password and use keys",
            )
        output = machine.run(["chpasswd"], stdin=f"root:{password}\n")
        if not output.ok:
            raise StepFailed(self.id, machine.target, f"chpasswd ended with {output.exit_code}")
        log("set the password of root")

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step: none, or locked, as it was."""
        state = before.get("state")
        if state == "P" or _state(machine) != "P":
            return
        machine.run(["passwd", "-d" if state == "NP" else "-l", "root"])

    def script(self) -> str:
        """See Step."""
        return (
            "# A password is not written down here. Set it by hand: passwd root\n"
            "passwd -S root | grep -q '^root P'"
        )


def _state(machine: Machine) -> str:
    """``P`` (or RHEL's ``PS``), ``L`` locked, ``NP`` none: as ``passwd -S`` prints it."""
    words = machine.run(list(_SEEN)).stdout.split()
    known = {"P": "P", "PS": "P", "L": "L", "LK": "L", "NP": "NP"}
    return known.get(words[1] if len(words) > 1 else "", "L")
