"""One operator at a time: a lock on the operator's machine and one on each host.

Here a file locked by the kernel, which a crash releases. On a host a folder, because making one
either works or does not, through any transport. Its owner renews it while it works; who finds it
can tell whether the owner still lives (same machine: by its process; host restarted since: it does
not; not renewed for long: it does not).
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import platform
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paddock.deploy.step import Machine
from paddock.errors import Locked, RunnerError

RENEW_S = 60.0
STALE_S = 900
"""Seconds after which a lock that nobody renewed is taken for a dead operator's."""

# One lock on a machine, not one for each user or deployment: two that change its packages or its
# containers at once are in each other's way whoever they are. Who takes it is heard out first: one
# that dies meanwhile leaves no lock without an owner, which would bar the way for STALE_S.
_TAKE = r"""
lock=${TMPDIR:-/tmp}/paddock.lock
umask 022
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
owner=$(cat)
case $owner in *}) ;; *) exit 1 ;; esac
if mkdir "$lock" 2>/dev/null; then
  printf '%s\n' "$owner" "$boot" >"$lock/owner.new" && mv "$lock/owner.new" "$lock/owner"
  echo taken
elif [ -d "$lock" ]; then
  echo held
  echo "$boot"
  echo $(($(date +%s) - $(stat -c %Y "$lock/owner" 2>/dev/null || stat -c %Y "$lock")))
  cat "$lock/owner" 2>/dev/null
else
  mkdir "$lock"
fi
"""

# Moved away first: of two who take the same lock for stale, one moves it and the other nothing.
_BREAK = r"""
lock=${TMPDIR:-/tmp}/paddock.lock
gone=$lock.$$.$1
mv "$lock" "$gone" || exit 1
if [ "$(head -n 1 "$gone/owner" 2>/dev/null)" != "$(cat)" ]; then
  mv "$gone" "$lock"
  exit 1
fi
rm -rf "$gone"
"""

_RENEW = r"""
lock=${TMPDIR:-/tmp}/paddock.lock
[ "$(head -n 1 "$lock/owner" 2>/dev/null)" = "$(cat)" ] && touch "$lock/owner"
"""

_RELEASE = r"""
lock=${TMPDIR:-/tmp}/paddock.lock
if [ "$(head -n 1 "$lock/owner" 2>/dev/null)" = "$(cat)" ]; then rm -rf "$lock"; fi
"""


@contextlib.contextmanager
def here(folder: Path) -> Iterator[None]:
    """The operator's machine: one command at a time for a deployment. Raises Locked."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(handle, 20).decode(errors="replace").strip() or "?"
            raise Locked(
                f"another paddock (process {pid}) works on this deployment",
                hint="wait for it, or end it: what it began is gone on with",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def there(machine: Machine, deployment: str, *, force: bool = False) -> Iterator[None]:
    """A host: nobody else works on it. ``force`` takes it from whoever has it. Raises Locked."""
    owner = _owner(deployment)
    _take(machine, owner, force=force)
    stop = threading.Event()
    renewing = threading.Thread(target=_renew, args=(machine, owner, stop), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(RunnerError):  # the link is gone: it will be found stale
            machine.sh(_RELEASE, stdin=owner)


def _take(machine: Machine, owner: str, *, force: bool) -> None:
    for _ in range(3):
        output = machine.sh(_TAKE, stdin=f"{owner}\n")
        state, *rest = output.stdout.splitlines() or [""]
        if state == "taken":
            return
        if state != "held":
            reason = (output.stderr.strip().splitlines() or ["no answer"])[-1]
            raise RunnerError(f"cannot lock {machine.target}: {reason}")
        boot, age, *lines = [*rest, "", "0"][: max(len(rest), 2)]
        held = _read(lines)
        if not force and not stale(held, boot=boot, age=int(age or 0)):
            raise Locked(
                f"{machine.target} is being worked on by {said(held)}, seen {age} s ago",
                hint="wait for it; if nobody is there any more: --break-lock",
            )
        force = False
        broken = machine.sh(_BREAK, str(os.getpid()), stdin=lines[0] if lines else "")
        if "ermission denied" in broken.stderr or "not permitted" in broken.stderr:
            raise Locked(
                f"the lock on {machine.target} is that of {said(held)}, and not yours to remove",
                hint="as that user or root there: rm -r ${TMPDIR:-/tmp}/paddock.lock",
            )
    raise Locked(f"{machine.target}: somebody else was quicker", hint="wait for it")


def stale(held: dict[str, Any], *, boot: str, age: int) -> bool:
    """Whether the owner of a lock is gone for sure, or was not heard of for STALE_S.

    ``boot`` is the host's boot id now, ``age`` the seconds since the lock was renewed.
    """
    if age > STALE_S or (held.get("boot") and boot and held["boot"] != boot):
        return True
    mine = json.loads(_owner(""))
    if held.get("machine") != mine["machine"]:
        return False
    if held.get("up") != mine["up"]:
        return True  # our own machine was restarted since
    return _started(int(held.get("pid", 0))) != held.get("started")


def said(held: dict[str, Any]) -> str:
    """The owner, for a person."""
    if not held:
        return "somebody who left no name"
    return f"{held['user']} on {held['machine']} (process {held['pid']}, {held['deployment']})"


def _owner(deployment: str) -> str:
    """Who we are, as one line: enough to tell later whether we still live."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return json.dumps(
        {
            "user": user,
            "machine": platform.node(),
            "up": _boot(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "deployment": deployment,
        }
    )


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process of ours started, in the kernel's ticks; a pid alone may be used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _read(lines: list[str]) -> dict[str, Any]:
    with contextlib.suppress(ValueError, IndexError):
        held = json.loads(lines[0])
        if isinstance(held, dict) and {"user", "machine", "pid", "deployment"} <= held.keys():
            return {**held, "boot": lines[1] if len(lines) > 1 else ""}
    return {}


def _renew(machine: Machine, owner: str, stop: threading.Event) -> None:
    while not stop.wait(RENEW_S):
        with contextlib.suppress(RunnerError):
            machine.sh(_RENEW, stdin=owner)
