"""One file from a server that may misbehave to a disk where it is whole or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from paddock.errors import FetchError, IntegrityError
from paddock.inference.checkpoint.hubs.base import RemoteFile
from paddock.inference.checkpoint.hubs.http import (
    Cancelled,
    Interrupted,
    Patience,
    Session,
    content_length,
)

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes that are on disk and the total, None where it is not known."""

CHUNK = 1 << 20


class _Spoiled(Exception):
    """What was received is not what was promised; it has been deleted."""


class Transfer:
    """Brings one remote file to ``target``.

    Bytes go to ``<target>.part``; ``<target>.part.json`` beside it says what they are part of, so
    that another process can go on: only with the same size, digest and ETag, and only if the
    server answers 206 with exactly the range that was asked for. Anything else starts from zero.
    """

    def __init__(
        self, session: Session, file: RemoteFile, target: Path, progress: Progress
    ) -> None:
        self.session, self.file, self.target, self.progress = session, file, target, progress
        self.part, self.note = part_of(target), note_of(target)
        self._size = file.size
        self._ranges = True  # cleared once the server has answered a Range wrongly
        self._hash = hashlib.sha256()
        self._hashed = 0

    def run(self) -> str:
        """Download, check and put in place; returns the file's SHA-256.

        Raises FetchError (a broken network, a full disk), IntegrityError (wrong twice), and the
        package's own Refused and Cancelled. Whatever is raised, KeyboardInterrupt too, leaves
        either nothing or a part that the next run goes on with.
        """
        patience = Patience(self.session.policy, self.session.cancel, self.file.path)
        furthest, spoiled = offset_of(self.target, self.file), False
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            while True:
                try:
                    self._receive()
                    return self._finish()
                except Interrupted as failure:
                    reached = self.part.stat().st_size if self.part.exists() else 0
                    if reached >= furthest + self.session.policy.refill:
                        patience.refill()
                        furthest = reached
                    patience.wait(failure)
                except _Spoiled as failure:
                    self._restart()
                    if spoiled:
                        raise IntegrityError(
                            f"{self.file.path}: {failure}, twice",
                            hint="the server or something on the way alters the file; try another"
                            f" hub or mirror (the address was {self.file.url})",
                        ) from None
                    spoiled = True
        except OSError as error:
            raise FetchError(
                f"cannot write {error.filename or self.part}: {error.strerror}",
                hint="make room or set PADDOCK_HOME to another disk, then run the command again",
            ) from error

    def _receive(self) -> None:
        """One request: append to the part until it is complete. Raises Interrupted, _Spoiled."""
        offset = offset_of(self.target, self.file) if self._ranges else 0
        if not offset:
            self._restart()
            self._size = self.file.size
        if self._size == offset:
            if not offset:
                self._begin(None)
            return
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag := _strong(self._noted().get("etag")):
                headers["If-Range"] = etag
        with self.session.open(self.file.url, headers) as response:
            start = self._judge(response, offset)
            etag = response.headers.get("ETag")
            if start == 0:
                self._restart()
                self._begin(etag)
            self._append(response, start)
        self.progress(self._hashed, self._size)
        if self._size is not None and self._hashed < self._size:
            raise Interrupted(f"the answer ended after {self._hashed:,} of {self._size:,} bytes")

    def _judge(self, response: httpx.Response, offset: int) -> int:
        """Where in the file the answer's body starts: ``offset`` or 0. Raises if it is no use."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError(f"{response.url.host} sends {self.file.path} compressed, unasked")
        if response.status_code == 206 and offset:
            total = self._size if self._size is not None else self._noted().get("total")
            found = re.fullmatch(
                r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", "").strip()
            )
            right = found and int(found[1]) == offset and int(found[3]) == total
            old, new = self._noted().get("etag"), response.headers.get("ETag")
            if right and (old == new or not (old and new)):
                return offset
            raise self._give_up_ranges("another range or version than was asked for")
        length = content_length(response)
        if response.status_code == 200:
            if self._size is None or length is None or length == self._size:
                self._size = length if self._size is None else self._size
                return 0
            if offset:
                # Seen of ModelScope: a Range is honoured, but the status is 200.
                raise self._give_up_ranges("a part, and calls it the whole")
            raise _Spoiled(f"the server sends {length:,} bytes, promised were {self._size:,}")
        if response.status_code == 416 and offset:
            raise self._give_up_ranges("HTTP 416 to a range inside the file")
        raise Interrupted(f"{response.url.host} answers HTTP {response.status_code}, unasked")

    def _give_up_ranges(self, answer: str) -> Interrupted:
        self._ranges = False
        return Interrupted(f"the server answers with {answer}", wait=0)

    def _append(self, response: httpx.Response, start: int) -> None:
        """Write the body at ``start``, hashing on the way. Raises Interrupted, _Spoiled."""
        policy = self.session.policy
        self._rehash(start)
        since, received = time.monotonic(), 0
        # Unbuffered: after a kill at any moment, what was received is in the part.
        with self.part.open("ab", buffering=0) as stream:
            self.progress(start, self._size)
            for chunk in response.iter_raw():
                if self.session.cancel.is_set():
                    raise Cancelled
                if self._size is not None and self._hashed + len(chunk) > self._size:
                    raise _Spoiled(f"the server sends more than the {self._size:,} bytes promised")
                _write(stream, chunk)
                self._hash.update(chunk)
                self._hashed += len(chunk)
                received += len(chunk)
                self.progress(self._hashed, self._size)
                if (elapsed := time.monotonic() - since) > policy.timeout:
                    if received < policy.min_rate * elapsed:
                        raise Interrupted(
                            f"{response.url.host} sent {received:,} bytes in {elapsed:.0f} s"
                        )
                    since, received = time.monotonic(), 0

    def _finish(self) -> str:
        """Check the part and rename it. Returns its SHA-256; raises _Spoiled."""
        size = self.part.stat().st_size
        self._rehash(size)
        digest = self._hash.hexdigest()
        if self.file.sha256 and digest != self.file.sha256:
            raise _Spoiled(f"its SHA-256 is {digest}, promised was {self.file.sha256}")
        if self.file.git_sha1 and (sha1 := git_sha1(self.part)) != self.file.git_sha1:
            raise _Spoiled(f"its git hash is {sha1}, promised was {self.file.git_sha1}")
        with self.part.open("rb") as stream:
            os.fsync(stream.fileno())
        self.part.replace(self.target)
        sync_folder(self.target.parent)
        self.note.unlink(missing_ok=True)
        self.progress(size, size)
        return digest

    def _rehash(self, size: int) -> None:
        """Make the running hash that of the part's first ``size`` bytes, its length."""
        if self._hashed == size:
            return
        self._hash, self._hashed = hashlib.sha256(), 0
        if size:
            with self.part.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    if self.session.cancel.is_set():
                        raise Cancelled
                    self._hash.update(chunk)
                    self._hashed += len(chunk)

    def _restart(self) -> None:
        """Forget what was received."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self._hash, self._hashed = hashlib.sha256(), 0

    def _begin(self, etag: str | None) -> None:
        """Note what the part is going to be part of, then create it."""
        note = {**_promise(self.file), "etag": etag, "total": self._size}
        self.note.write_text(json.dumps(note), encoding="utf-8")
        self.part.touch()

    def _noted(self) -> dict[str, Any]:
        return _read_note(self.note)


def part_of(target: Path) -> Path:
    """Where a file is while it is incomplete."""
    return target.with_name(target.name + ".part")


def note_of(target: Path) -> Path:
    """What an incomplete file is part of."""
    return target.with_name(target.name + ".part.json")


def offset_of(target: Path, file: RemoteFile) -> int:
    """How many bytes of ``file`` an earlier run left that this one may build on."""
    note = _read_note(note_of(target))
    promise = _promise(file)
    if file.sha256 or file.git_sha1:
        # The content is known by its digest, so the address may be another mirror's.
        note["url"] = promise["url"]
    elif not _strong(note.get("etag")):
        return 0
    if any(note.get(key) != value for key, value in promise.items()):
        return 0
    with contextlib.suppress(OSError):
        size = part_of(target).stat().st_size
        return size if file.size is None or size <= file.size else 0
    return 0


def git_sha1(path: Path) -> str:
    """Git's hash of a file's content as a blob."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _promise(file: RemoteFile) -> dict[str, Any]:
    return {
        "url": file.url,
        "size": file.size,
        "sha256": file.sha256,
        "git_sha1": file.git_sha1,
    }


def _read_note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _strong(etag: str | None) -> str | None:
    """An ETag that may stand in If-Range (RFC 9110, section 13.1.5): not a weak one."""
    return etag if etag and not etag.startswith("W/") else None


def _write(stream: Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[stream.write(view) :]
