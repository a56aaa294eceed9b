"""A file's way to a machine: in pieces, so that a broken transfer goes on, compared at its end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from paddock.errors import NoProgram, RunnerError, StepFailed, TimedOut, Unreachable
from paddock.shell import Output

if TYPE_CHECKING:
    from paddock.deploy.step.machine import Machine

CHUNK = 8 * 2**20
"""Bytes of a file that are sent at once; a broken transfer goes on from the last whole chunk."""

LOST_LINK = 300.0
"""Seconds for which a machine that cannot be reached is tried again while something is done on it
that would be lost.
"""

PATIENCE = 600.0
"""Seconds for a chunk over a slow line, and for reading back a small file."""

SLOWEST = 20e6
"""Bytes that the slowest machine reads and hashes in a second."""

_LOOK = r"""
set -eu
path=$1 part=$2 sha256=$3
mkdir -p "$(dirname "$path")"
if [ -f "$path" ] && [ "$(sha256sum <"$path" | cut -d' ' -f1)" = "$sha256" ]; then
  rm -f "$part"
  echo there
elif [ -f "$part" ]; then wc -c <"$part"
else echo 0; fi
"""

# Cut back first: what a broken try left behind the last whole chunk is dropped. A chunk that came
# short (the link broke) is no reason to throw away what came before it.
_PIECE = r"""
set -eu
path=$1 part=$2 from=$3 to=$4 sha256=$5
truncate -s "$from" "$part"
cat >>"$part"
[ "$(wc -c <"$part")" -eq "$to" ] || exit 8
[ -n "$sha256" ] || exit 0
if [ "$(sha256sum <"$part" | cut -d' ' -f1)" != "$sha256" ]; then
  rm -f "$part"
  exit 9
fi
mv -f "$part" "$path"
"""
SHORT, OTHER = 8, 9
"""What _PIECE ends with where less came than was sent, and where it is not what was sent."""


def patience(size: int) -> float:
    """Seconds that reading and hashing so many bytes may take."""
    return PATIENCE + size / SLOWEST


def digest(source: Path) -> str:
    """The SHA-256 of a file here."""
    found = hashlib.sha256()
    with source.open("rb") as stream:
        while block := stream.read(CHUNK):
            found.update(block)
    return found.hexdigest()


def partial(path: str, sha256: str) -> str:
    """What a file is called until it is whole: two contents never share what came of them."""
    return f"{path}.{sha256[:16]}.part"


def send(
    machine: Machine,
    source: Path,
    path: str,
    *,
    sha256: str | None = None,
    log: Callable[[str], None] | None = None,
) -> None:
    """See ``Machine.send``."""
    heard = time.monotonic()
    while True:
        try:
            wanted = sha256 or digest(source)
            size = source.stat().st_size
            for done in _pieces(machine, source, path, wanted, size):
                heard = time.monotonic()
                if log is not None:
                    log(f"{source.name}: {done} of {size} bytes")
            return
        except OSError as error:
            raise RunnerError(f"cannot read {source} here: {error.strerror}") from error
        except NoProgram:
            raise
        except (Unreachable, TimedOut):
            if time.monotonic() - heard > LOST_LINK:
                raise
            time.sleep(2)


def _pieces(machine: Machine, source: Path, path: str, sha256: str, size: int) -> Iterator[int]:
    """Sends what is missing and gives, after each chunk, how many bytes are there."""
    part = partial(path, sha256)
    seen = machine.sh(_LOOK, path, part, sha256, timeout=patience(size))
    _expect(seen, machine, path)
    if seen.stdout.strip() == "there":
        return
    done = min(int(seen.stdout), size) // CHUNK * CHUNK
    if done and done == size:  # whole but for its name: the last chunk brings that
        done -= CHUNK
    with source.open("rb") as stream:
        stream.seek(done)
        while True:
            block = stream.read(CHUNK)
            end = done + len(block)
            last = end >= size or not block
            words = (path, part, str(done), str(end), sha256 if last else "")
            timeout = PATIENCE + (patience(size) if last else 0)
            _expect(machine.sh(_PIECE, *words, stdin=block, timeout=timeout), machine, path)
            done = end
            yield done
            if last:
                return


def _expect(output: Output, machine: Machine, path: str) -> None:
    if output.ok:
        return
    if output.exit_code == SHORT:
        raise Unreachable(f"the link to {machine.target} broke while {path} was sent")
    if output.exit_code == OTHER:
        raise RunnerError(
            f"{path} on {machine.target} is not what was sent: its SHA-256 differs",
            hint="try again; if it stays so, look at that machine's disk and memory",
        )
    said = [line.strip() for line in output.stderr.splitlines() if line.strip()]
    reason = said[-1] if said else "without a word"
    raise RunnerError(f"cannot write {path} on {machine.target}: {reason}")


# The folder itself may not be there yet: what counts is the file system that it will be on.
_FREE = r"""
there=$1
while [ ! -d "$there" ]; do there=$(dirname "$there"); done
df -Pk "$there" | awk 'NR == 2 { print $4 }'
"""


def room(machine: Machine, step: str, folder: str, need: int, hint: str) -> None:
    """Raises StepFailed, with ``hint``, where ``folder`` has no room for ``need`` bytes more."""
    output = machine.sh(_FREE, folder)
    free = output.stdout.strip()
    if not free.isdecimal():
        reason = f"its free space cannot be told: {output.stderr.strip() or 'df gives no number'}"
        raise StepFailed(step, machine.target, f"{folder}: {reason}")
    if int(free) * 1024 < need:
        raise StepFailed(
            step,
            machine.target,
            f"no space left on device: {folder} has {gigabytes(int(free) * 1024)} free, what is to"
            f" be sent there needs {gigabytes(need)}",
            hint=hint,
        )


def gigabytes(count: int) -> str:
    """Bytes for people, as disks are sold."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
