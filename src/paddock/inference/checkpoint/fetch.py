"""Pulling a model: one call from a name to a complete folder in the store."""

from __future__ import annotations

import contextlib
import datetime
import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paddock.errors import FetchError
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.hubs import connect
from paddock.inference.checkpoint.hubs.base import Hub, Listing, Policy, RemoteFile
from paddock.inference.checkpoint.store import Manifest, StoredFile
from paddock.settings import Settings

Progress = Callable[[str, int, "int | None"], None]
"""Called with a file's path, the bytes of it that are here, and its size (None: not known yet)."""

MARGIN = 64 << 20
"""Bytes that a download leaves free on the disk."""

log = logging.getLogger(__name__)


def pull(
    name: str,
    settings: Settings,
    *,
    revision: str = "main",
    include: Sequence[str] | None = None,
    progress: Progress | None = None,
    policy: Policy | None = None,
) -> Path:
    """Download a model into the store, or what is missing of it, and return its folder.

    ``name`` is a known name or a hub id, ``revision`` a branch, tag or commit, ``include`` shell
    patterns of the files wanted in place of Paddock's own choice. ``progress`` is called from
    several threads, never from two at a time. Every file is checked against what the hub promises
    before it gets its name, and the model counts as complete only after the last one.

    Raises UsageError (not a name), ModelNotFound, GatedModel, IntegrityError, MissingExtra, and
    FetchError for everything else that keeps the files away: no network, no room on the disk, the
    offline flag. Interrupted in any way, it goes on where it stopped at the next call.
    """
    word = store.canonical(name)
    if word == store.DEMO:
        return store.locate(None, settings)
    place = store.folder(word, settings)
    if settings.offline:
        return _offline(word, place, revision, include)
    policy = policy or Policy(timeout=settings.timeout, parallel=settings.parallel)
    with _turn(place, word, policy):
        hub = connect(settings, policy)
        from paddock.inference.checkpoint.hubs.http import Refused

        try:
            _pull(hub, word, place, revision, include, progress, policy)
        except Refused as refused:
            raise hub.refusal(refused.status, word) from refused
        finally:
            hub.session.close()
    return place


def _offline(word: str, place: Path, revision: str, include: Sequence[str] | None) -> Path:
    manifest = store.read_manifest(place)
    asked = (revision, tuple(include or ()))
    if manifest and store.is_complete(place) and asked == (manifest.revision, manifest.include):
        return place
    raise FetchError(
        f"{word} is not complete on this machine, and Paddock is offline",
        hint="unset PADDOCK_OFFLINE and HF_HUB_OFFLINE (or offline in the configuration file), or"
        f" copy the folder {place} from a machine that has it",
    )


@contextmanager
def _turn(place: Path, word: str, policy: Policy) -> Iterator[None]:
    """Be the only one to pull this model; waits for another process that does."""
    start, said = time.monotonic(), False
    while True:
        with store.locked(place) as ours:
            if ours:
                yield
                return
        if not said:
            log.warning("another process is pulling %s; waiting for it", word)
            said = True
        if policy.lock_wait is not None and time.monotonic() - start > policy.lock_wait:
            raise FetchError(f"{word} is being pulled by another process")
        time.sleep(0.1)


def _pull(
    hub: Hub,
    word: str,
    place: Path,
    revision: str,
    include: Sequence[str] | None,
    progress: Progress | None,
    policy: Policy,
) -> None:
    from paddock.inference.checkpoint.hubs.choose import choose

    listing = hub.listing(word, revision)
    wanted = [hub.measured(file) for file in choose(listing.files, include, word)]
    old = store.read_manifest(place)
    done = {file.path: digest for file in wanted if (digest := _have(place, file, old))}
    missing = [file for file in wanted if file.path not in done]
    if missing:
        _check_room(place, word, missing)
        # What is about to change is no longer what the manifest says.
        (place / store.MANIFEST).unlink(missing_ok=True)
    report = _one_at_a_time(progress)
    for file in wanted:
        if file.path in done and file.size is not None:
            report(file.path, file.size, file.size)
    done.update(_transfer(hub, place, missing, report, policy))
    kept = _still_valid(place, listing, old, done)
    store.write_manifest(
        place,
        Manifest(
            name=word,
            source=listing.source,
            revision=revision,
            commit=listing.commit,
            date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            files=tuple(
                StoredFile(path, (place / path).stat().st_size, digest)
                for path, digest in sorted({**kept, **done}.items())
            ),
            include=tuple(include or ()),
        ),
    )


def _have(place: Path, file: RemoteFile, old: Manifest | None) -> str | None:
    """The SHA-256 of a file that is already here as the hub has it now, else None."""
    from paddock.inference.checkpoint.hubs import transfer

    target = place / file.path
    if not target.is_file() or (file.size is not None and target.stat().st_size != file.size):
        return None
    noted = {entry.path: entry for entry in old.files}.get(file.path) if old else None
    if noted and noted.size == target.stat().st_size and file.sha256 in (noted.sha256, None):
        if file.git_sha1 and transfer.git_sha1(target) != file.git_sha1:
            return None
        return noted.sha256
    if file.sha256:
        return file.sha256 if transfer.sha256(target) == file.sha256 else None
    if file.git_sha1 and transfer.git_sha1(target) == file.git_sha1:
        return transfer.sha256(target)
    return None


def _check_room(place: Path, word: str, missing: list[RemoteFile]) -> None:
    from paddock.inference.checkpoint.hubs.transfer import offset_of

    place.mkdir(parents=True, exist_ok=True)
    need = sum((f.size or 0) - offset_of(place / f.path, f) for f in missing if f.size)
    free = shutil.disk_usage(place).free
    if need + MARGIN > free:
        raise FetchError(
            f"{word} needs {need / 1e9:,.1f} GB more, but {place} has {free / 1e9:,.1f} GB free",
            hint="make room, or set PADDOCK_HOME to a folder on another disk",
        )


def _still_valid(
    place: Path, listing: Listing, old: Manifest | None, done: dict[str, str]
) -> dict[str, str]:
    """Files of earlier pulls that the hub still has in that form; others of them are deleted."""
    kept = {}
    remote = {file.path: file for file in listing.files}
    for entry in old.files if old else ():
        if entry.path in done:
            continue
        file = remote.get(entry.path)
        if file and _have(place, file, old):
            kept[entry.path] = entry.sha256
        else:
            # Left over from another version, it would be read as part of this one.
            (place / entry.path).unlink(missing_ok=True)
    return kept


def _one_at_a_time(progress: Progress | None) -> Progress:
    """``progress`` for calls from many threads."""
    lock = threading.Lock()

    def report(path: str, here: int, total: int | None) -> None:
        if progress is not None:
            with lock:
                progress(path, here, total)

    return report


def _transfer(
    hub: Hub, place: Path, files: list[RemoteFile], report: Progress, policy: Policy
) -> dict[str, str]:
    """Download ``files``, a few at once; their SHA-256. The first failure stops them all."""
    from paddock.inference.checkpoint.hubs.http import Cancelled
    from paddock.inference.checkpoint.hubs.transfer import Transfer

    digests: dict[str, str] = {}
    failures: list[BaseException] = []
    cancel = hub.session.cancel

    def bring(file: RemoteFile) -> None:
        def here(done: int, total: int | None) -> None:
            report(file.path, done, total)

        try:
            digests[file.path] = Transfer(hub.session, file, place / file.path, here).run()
        except Cancelled:
            pass
        except BaseException as error:  # handed to the caller's thread, which raises it
            failures.append(error)
            cancel.set()

    _in_threads(bring, files, policy.parallel, cancel)
    if failures:
        raise failures[0]
    return digests


def _in_threads(
    work: Callable[[RemoteFile], None],
    files: list[RemoteFile],
    parallel: int,
    cancel: threading.Event,
) -> None:
    """``work`` on each file in order, ``parallel`` at once, until all are done or ``cancel``."""
    todo: queue.SimpleQueue[RemoteFile] = queue.SimpleQueue()
    for file in files:
        todo.put(file)

    def loop() -> None:
        with contextlib.suppress(queue.Empty):
            while not cancel.is_set():
                work(todo.get_nowait())

    # Daemons: after Ctrl-C a thread may sit in a read for as long as the time-out, and the
    # process does not wait for it; what is in the part is good at any moment.
    workers = [
        threading.Thread(target=loop, name=f"pull-{i}", daemon=True)
        for i in range(min(parallel, len(files)))
    ]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(0.2)
    except BaseException:
        cancel.set()
        for worker in workers:
            worker.join(1.0)
        raise
