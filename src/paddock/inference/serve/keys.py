"""API keys: made at random, kept as SHA-256, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from paddock.errors import UsageError

_LINE = re.compile(r"(?P<name>[\w.@-]{1,64}):(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Keys:
    """Who may ask: names and digests. Keys have 256 random bits, so a plain digest is enough."""

    digests: tuple[tuple[str, bytes], ...]

    def owner(self, key: str) -> str | None:
        """The name that ``key`` was made for; None if it is no key of ours."""
        digest = _digest(key)
        found = None
        # All of them, so that the time does not tell which one came close.
        for name, known in self.digests:
            if hmac.compare_digest(digest, known):
                found = name
        return found


def read(file: Path) -> Keys:
    """The keys of ``file``: a line ``name:sha256`` each, # for comments. Raises UsageError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the key file {file} cannot be read: {error}") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise UsageError(
                f"{file}, line {number}: this is no name:sha256",
                hint=f"make a key with: paddock key new NAME --file {file}",
            )
        found.append((match["name"], bytes.fromhex(match["digest"])))
    if not found:
        raise UsageError(f"{file} holds no key", hint="make one with: paddock key new NAME --file")
    return Keys(tuple(found))


def add(file: Path, name: str) -> str:
    """Makes a key for ``name``, adds its digest to ``file`` and returns the key itself.

    A new file is the owner's alone (0600). Raises UsageError for a name that cannot be written or
    is there already.
    """
    line = f"{name}:{'0' * 64}"
    if _LINE.fullmatch(line) is None:
        raise UsageError(f"{name!r} is no name for a key", hint="use letters, digits, . _ @ -")
    if file.exists() and any(name == one for one, _ in _known(file)):
        raise UsageError(f"{file} has a key for {name!r} already", hint="choose another name")
    key = "pk-" + secrets.token_urlsafe(32)
    file.touch(mode=0o600)
    with file.open("a", encoding="utf-8") as out:
        out.write(f"{name}:{_digest(key).hex()}\n")
    return key


def _known(file: Path) -> tuple[tuple[str, bytes], ...]:
    return read(file).digests if file.read_text(encoding="utf-8").strip() else ()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
