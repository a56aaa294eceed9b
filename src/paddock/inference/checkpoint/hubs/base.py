"""The seam behind which all hubs look the same: a listing of files with addresses and digests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from paddock.errors import FetchError, ModelNotFound, PaddockError, nearest
from paddock.inference.checkpoint.store import KNOWN

if TYPE_CHECKING:
    from paddock.inference.checkpoint.hubs.http import Session


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a download is. Times in seconds, sizes in bytes.

    After a failure it waits ``backoff``, then twice as long and so on, at most ``retries`` times
    in a row; a gain of ``refill`` bytes starts the count anew. ``timeout`` is how long a connection
    may be silent, and slower than ``min_rate`` bytes/s over that time counts as silent. A hub that
    asks for a wait above ``longest_wait`` is not waited for. ``lock_wait`` is how long another
    process's pull of the same model is waited for, None for as long as it takes.
    """

    retries: int = 5
    backoff: float = 1.0
    longest_wait: float = 120.0
    timeout: float = 30.0
    min_rate: int = 1024
    refill: int = 8 << 20
    parallel: int = 2
    lock_wait: float | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file on a hub and what the hub promises of it; None where it promises nothing.

    ``path`` is relative to the model's folder. ``git_sha1`` is git's hash of a blob (of
    ``b"blob <size>\\0"`` and the content), which Hugging Face gives for files outside LFS.
    """

    path: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one model at one ``commit``; ``source`` is the address people know it by."""

    source: str
    commit: str
    files: tuple[RemoteFile, ...]


class Hub(Protocol):
    """A place that models are pulled from."""

    session: Session

    def listing(self, name: str, revision: str) -> Listing:
        """The model's files. ``name`` is canonical; raises FetchError, GatedModel, ModelNotFound,
        or UsageError for a revision the hub cannot have.
        """
        ...

    def measured(self, file: RemoteFile) -> RemoteFile:
        """The file with its size filled in, where the hub can tell."""
        ...

    def refusal(self, status: int, name: str) -> PaddockError:
        """What an HTTP 401, 403 or 404 means for this model, for people."""
        ...


def unknown_model(name: str, where: str) -> ModelNotFound:
    """The error for a model that the hub does not have, with the nearest name."""
    names = set(KNOWN) | {known.huggingface for known in KNOWN.values()}
    return ModelNotFound(
        f"{where} has no model {name!r}{nearest(name, names - {name})}",
        hint=f"names that need no hub id: {', '.join(KNOWN)}",
    )


def safe_path(path: str) -> str:
    """``path`` if it stays inside the model's folder; raises FetchError if a hub tries a trick."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise FetchError(f"the hub lists a file {path!r}, which lies outside the model's folder")
    return "/".join(parts)


def sha256_or_none(text: object) -> str | None:
    """A SHA-256 in lower case, None for anything else."""
    word = text.strip().lower() if isinstance(text, str) else ""
    return word if len(word) == 64 and all(c in "0123456789abcdef" for c in word) else None
