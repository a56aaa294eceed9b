"""What a step may do to a machine, through any Runner: local, SSH and container behave alike.

Everything is made of short POSIX sh programs, so that nothing but ``sh`` and the usual tools is
needed on the far side. What lasts is started detached there with its log in a file, and followed:
a lost link loses nothing, and who comes back goes on following.
"""

from __future__ import annotations

import base64
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paddock.deploy.step import transfer
from paddock.deploy.step.transfer import LOST_LINK
from paddock.errors import RunnerError, StepFailed, TimedOut, Unreachable
from paddock.shell import TIMEOUT, Output, Runner

PIECE = 1_000_000
"""Bytes of a job's log that one look brings."""

# umask first: the file never exists with more rights than it will have. The owner is set before the
# name is, so that nobody reads a half-written file under it.
_WRITE = r"""
set -eu
path=$1 mode=$2 owner=$3
folder=$(dirname "$path")
[ -d "$folder" ] || mkdir -p "$folder"
part=$(mktemp "$folder/.paddock.XXXXXX")
trap 'rm -f "$part"' EXIT
cat >"$part"
[ -z "$owner" ] || chown "$owner" "$part"
chmod "$mode" "$part"
mv -f "$part" "$path"
"""

# The command's own group is what a timeout ends. rc is written last; it and pid by a rename: they
# are whole or not there. A job whose pid is gone without rc was killed (or the machine restarted).
_START = r"""
set -eu
folder=$1 seconds=$2
umask 077
mkdir -p "$folder"
cat >"$folder/script.new"
if [ -e "$folder/pid" ] && cmp -s "$folder/script.new" "$folder/script" &&
  [ ! -e "$folder/rc" ] && kill -0 "$(cat "$folder/pid")" 2>/dev/null; then
  rm "$folder/script.new"
  exit 0
fi
rm -f "$folder/rc" "$folder/log" "$folder/pid"
mv "$folder/script.new" "$folder/script"
: >"$folder/log"
limit=
if command -v timeout >/dev/null; then limit="timeout -k 10 $seconds"; fi
if command -v setsid >/dev/null; then away=setsid; else away=nohup; fi
$away sh -c '
  echo $$ >"$1/pid.new"
  mv "$1/pid.new" "$1/pid"
  $2 sh -eu "$1/script" >"$1/log" 2>&1 </dev/null
  echo $? >"$1/rc.new"
  mv "$1/rc.new" "$1/rc"
' sh "$folder" "$limit" >/dev/null 2>&1 </dev/null &
"""

# Its end is told at once, its lines five times a second: every look starts programs on both sides.
# The process is asked for first and rc after it: a job may end in between, and has then written rc.
_FOLLOW = r"""
folder=$1 from=$2 piece=$3
for nap in 0.02 0.06 0.12 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2; do
  [ ! -e "$folder/rc" ] || break
  if [ "$nap" = 0.2 ]; then
    size=$(wc -c <"$folder/log" 2>/dev/null || echo 0)
    [ "$size" -le "$from" ] || break
  fi
  sleep "$nap" 2>/dev/null || sleep 1
done
state=running
if [ -e "$folder/pid" ] && ! kill -0 "$(cat "$folder/pid")" 2>/dev/null; then state=gone; fi
if [ -e "$folder/rc" ]; then state=$(cat "$folder/rc"); fi
echo "$state"
tail -c +$((from + 1)) "$folder/log" 2>/dev/null | head -c "$piece"
"""

# One round trip for a job of a second, as most are. Not "( ) ||": that would switch off its -e.
_BEGIN = f"""
({_START})
code=$?
[ "$code" -eq 0 ] || exit "$code"
set -- "$1" 0 "$3"
{_FOLLOW}"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that may be changed. ``folder`` is where Paddock may keep its own files there."""

    runner: Runner
    folder: str

    @property
    def target(self) -> str:
        """The machine's name for messages."""
        return self.runner.target

    def run(self, argv: list[str], *, timeout: float = TIMEOUT, stdin: str | bytes = "") -> Output:
        """A short program; see ``Runner.run``."""
        return self.runner.run(argv, timeout=timeout, stdin=stdin)

    def sh(
        self, script: str, *words: str, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        """A short sh program with ``$1``, ``$2``, ... from ``words``; see ``Runner.run``.

        The program itself is visible in the process list there: secrets go through ``stdin``.
        """
        return self.runner.run(["sh", "-c", script, "sh", *words], timeout=timeout, stdin=stdin)

    def read(self, path: str) -> str | None:
        """The text of a file, None where there is none; see ``Runner.read``."""
        return self.runner.read(path)

    def write(self, path: str, data: str | bytes, *, mode: int = 0o644, owner: str = "") -> None:
        """A file with exactly this content and mode; it appears whole or not at all.

        ``owner`` is ``user:group`` by name or number, empty for whoever writes. Folders above it
        are made. Raises RunnerError with the reason.
        """
        output = self.sh(_WRITE, path, f"{mode:o}", owner, stdin=data, timeout=120)
        if not output.ok:
            raise RunnerError(f"cannot write {path} on {self.target}: {_end(output.stderr)}")

    def send(
        self,
        source: Path,
        path: str,
        *,
        sha256: str | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        """Copies a file there; a transfer that was broken off goes on where it stopped.

        ``sha256`` is the file's where it is known already. The copy's is read back and compared;
        until then the file is called ``transfer.partial``. A link that is lost meanwhile is tried
        again for LOST_LINK seconds. Raises RunnerError, and leaves no file under ``path`` that is
        not whole.
        """
        transfer.send(self, source, path, sha256=sha256, log=log)

    def follow(
        self,
        job: str,
        script: str,
        *,
        step: str,
        timeout: float,
        log: Callable[[str], None],
    ) -> None:
        """Runs a long sh program (under ``set -eu``) and gives its output line by line.

        It runs detached on the machine as ``job``, whose files are kept below ``folder``. If the
        same script already runs there (this process was killed, the link was lost), it is followed
        instead of started twice. Raises StepFailed for an exit code that is not 0, with the log's
        end; after ``timeout`` seconds it is ended on the far side. An Unreachable machine is tried
        again for LOST_LINK seconds. The script lies in a file of mode 0600 while it runs; secrets
        have no place in it all the same.
        """
        folder = f"{self.folder}/jobs/{job}"
        seconds, piece = str(int(timeout)), str(PIECE)
        seen, rest = 0, b""
        tail: list[str] = []
        deadline = time.monotonic() + timeout + 60
        begun, lost = False, None
        while True:
            try:
                if begun:
                    output = self.sh(_FOLLOW, folder, str(seen), piece)
                else:
                    output = self.sh(_BEGIN, folder, seconds, piece, stdin=script)
            except (Unreachable, TimedOut):
                lost = lost or time.monotonic()
                if time.monotonic() - lost > LOST_LINK:
                    raise
                time.sleep(2)
                continue
            if not begun and not output.ok:
                raise StepFailed(step, self.target, f"cannot start: {_end(output.stderr)}")
            begun, lost = True, None
            state, _, new = output.raw.partition(b"\n")
            seen += len(new)
            *lines, rest = (rest + new).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").rstrip("\r")
                tail = [*tail[-49:], text]
                log(text)
            if state != b"running" and len(new) < PIECE:
                break
            if time.monotonic() > deadline:
                raise StepFailed(step, self.target, "it did not end", log="\n".join(tail))
        if rest:
            log(rest.decode(errors="replace"))
            tail.append(rest.decode(errors="replace"))
        code = state.decode(errors="replace").strip()
        if code != "0":  # its log stays either way, for whoever asks later
            raise StepFailed(step, self.target, _why(code, seconds), log="\n".join(tail))


def _why(code: str, seconds: str) -> str:
    """Why a job failed that was given so many seconds, by what is known of its end."""
    if code == "124":
        return f"not ready after {seconds} s and was ended"
    if not code.isdigit():
        return "was killed, or the machine was restarted meanwhile"
    return f"ended with {code}"


def heredoc(path: str, data: str, *, mode: int, owner: str) -> str:
    """sh lines that write a file as ``Machine.write`` does, for a runbook."""
    quoted, folder = shlex.quote(path), shlex.quote(str(Path(path).parent))
    lines = [f"mkdir -p {folder}"]
    body = data if data.endswith("\n") or not data else None
    if not data:
        lines.append(f": >{quoted}")
    elif body is not None and "PADDOCK_END" not in data:
        lines += [f"cat >{quoted} <<'PADDOCK_END'", data.removesuffix("\n"), "PADDOCK_END"]
    else:  # without a final newline, or with our own end mark: exactly these bytes
        coded = base64.b64encode(data.encode()).decode()
        lines += [f"printf %s {coded} | base64 -d >{quoted}"]
    if owner:
        lines.append(f"chown {shlex.quote(owner)} {quoted}")
    lines.append(f"chmod {mode:o} {quoted}")
    return "\n".join(lines)


def _end(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "without a word"
