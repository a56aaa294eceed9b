"""The only place that starts a process or reads a host's files: one interface for every machine.

A ``Runner`` answers for one machine: this one, one over SSH, a container on either, or a recording.
Whoever asks does not learn which. Programs are given as lists of words and never pass through a
shell of ours; where a transport needs a command line (SSH does), it is quoted here. A ``Coprocess``
is a program of this machine that stays and is talked with. All in one file, long as it is, because
no other may start a process.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn, Protocol, cast

from paddock.errors import NoProgram, RunnerError, TimedOut, Unreachable, UsageError

TIMEOUT = 30.0
"""Seconds that a program may take unless told otherwise."""

OUTPUT_LIMIT = 16 * 2**20
"""Bytes of output after which a program is ended: nobody asks for more than this."""

NOT_FOUND = 127
"""The exit code of a program that is not there, on every machine (POSIX, ``env`` and ``sh``)."""

_CHUNK = 2**16


@dataclass(frozen=True, slots=True)
class Output:
    """What a program gave back: exit code (negative: ended by that signal), text and seconds.

    ``raw`` is stdout as it came, for whoever counts bytes; empty where only text is known.
    """

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    raw: bytes = field(default=b"", repr=False)

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.exit_code == 0


class Runner(Protocol):
    """All that is learned from or done to a machine.

    ``target`` names the machine as a person would: ``local``, ``ssh://user@host``, ...
    """

    @property
    def target(self) -> str:
        """What is asked, for messages and reports."""
        ...

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        """Runs a program, feeds it ``stdin`` and waits for its end.

        The child's environment is the machine's own with LC_ALL=C, so that messages are English.
        Output that is not UTF-8 has those bytes replaced. A failure of the program is an exit code
        (127 if it is not there), not an exception.

        Raises Unreachable where the machine cannot be entered, TimedOut after ``timeout`` seconds
        (the program is ended first, on SSH and in containers as far as the transport allows) and
        RunnerError where it prints more than OUTPUT_LIMIT bytes.
        """
        ...

    def read(self, path: str) -> str | None:
        """The text of a file, None where there is none.

        Raises RunnerError for what may not be read, a folder, or more than OUTPUT_LIMIT bytes.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """This machine."""

    target: str = "local"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        """See Runner."""
        # env instead of a changed copy of our environment: the same words work over SSH and in
        # containers, and what is not there ends with 127 everywhere.
        return _execute(["env", "LC_ALL=C", *argv], timeout, stdin, shown=argv)

    def read(self, path: str) -> str | None:
        """See Runner."""
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(OUTPUT_LIMIT + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RunnerError(f"cannot read {path}: {error.strerror}") from error
        if len(data) > OUTPUT_LIMIT:
            raise RunnerError(f"{path} is larger than {OUTPUT_LIMIT} bytes")
        return data.decode(errors="replace")


_NAME = re.compile(r"[\w:][\w.:%+-]*")
"""A host or user that neither ssh nor a shell behind its ProxyCommand takes for anything else."""


# env's word, in whichever language and quotes.
_NO_SSH = re.compile(r"\benv: (?:can't execute )?\W*ssh\b")


@dataclass(frozen=True, slots=True)
class SshRunner:
    """A machine over the system's own ``ssh``, with the user's configuration, keys and agent.

    Nothing is asked at the keyboard: a password or an unknown host key is an error that says so.
    ``control`` is a folder for a shared connection (ControlMaster): the first program opens it and
    it is kept for a minute, which saves later ones the handshake. ``options`` are further ``-o``
    settings (``{"IdentityFile": "..."}``).
    """

    host: str
    user: str | None = None
    port: int | None = None
    connect_timeout: int = 10
    control: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, address: str) -> SshRunner:
        """The runner for ``ssh://user@host:port``; the scheme, user and port may be left out.

        Raises UsageError for anything else, also for a host that ssh would take for an option.
        """
        rest = address.removeprefix("ssh://").rstrip("/")
        user, at, place = rest.rpartition("@")
        host, colon, port = place.rpartition(":")
        if place.startswith("[") and place.endswith("]"):
            host, colon, port = place, "", ""
        if not colon:
            host, port = place, ""
        host = host.removeprefix("[").removesuffix("]")
        good = _NAME.fullmatch(host) and (_NAME.fullmatch(user) or not at)
        if not good or (colon and not port.isdecimal()):
            raise UsageError(
                f"{address!r} is not the address of a host",
                hint="write it as ssh://user@host or ssh://user@host:port",
            )
        return cls(host, user or None, int(port) if port else None)

    @property
    def target(self) -> str:
        """The address as a URL."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{user}{host}" + (f":{self.port}" if self.port else "")

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        """See Runner. The far side's login shell splits the words: any POSIX shell, fish or csh."""
        command = ["env", "LC_ALL=C", *self._ssh(), shlex.join(["env", "LC_ALL=C", *argv])]
        output = _execute(command, timeout, stdin, shown=argv, where=self.target)
        # 255 is ssh's own; a program may end with it too, but hardly without a word on stdout.
        if output.exit_code == 255 and not output.stdout:
            raise _no_connection(self.target, output.stderr)
        if output.exit_code == NOT_FOUND and _NO_SSH.search(output.stderr):
            raise NoProgram("there is no ssh on this machine", hint="install openssh-client")
        return output

    def read(self, path: str) -> str | None:
        """See Runner."""
        return read_by_cat(self, path)

    def interactive(self, argv: Sequence[str]) -> list[str]:
        """The words that run ``argv`` there with a terminal; ssh may ask at the keyboard."""
        words = self._ssh()
        words[words.index("-T")] = "-t"
        words.remove("-oBatchMode=yes")
        return [*words, shlex.join(argv)]

    @contextlib.contextmanager
    def forward(self, socket: str) -> Iterator[Path]:
        """A socket here that leads to the socket ``socket`` (a path) there while this is in use.

        Its connection is its own, not the shared one. Raises Unreachable where none comes about;
        whether anybody listens on ``socket`` shows with the first word sent.
        """
        with tempfile.TemporaryDirectory(prefix="paddock-") as folder:
            local = Path(folder) / "socket"
            options = ["-N", "-oControlPath=none", "-oExitOnForwardFailure=yes"]
            words = ["env", "LC_ALL=C", *self._ssh(*options, f"-L{local}:{socket}")]
            process = subprocess.Popen(  # noqa: S603 - a list of words, no shell
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            try:
                deadline = time.monotonic() + self.connect_timeout + 10
                while not local.exists() and process.poll() is None:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.01)
                if not local.exists():
                    _kill(process)
                    said = cast("IO[bytes]", process.stderr).read().decode(errors="replace")
                    raise _no_connection(self.target, said)
                yield local
            finally:
                _end(process)

    def _ssh(self, *more: str) -> list[str]:
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": str(self.connect_timeout),
            "ServerAliveInterval": "15",
            "LogLevel": "ERROR",  # no banners among the error texts
        }
        if self.control is not None:
            settings |= {
                "ControlMaster": "auto",
                "ControlPath": str(self.control / "%C"),
                "ControlPersist": "60",
            }
        # What is given for this one connection goes first: ssh takes the first value it sees.
        words = ["ssh", "-T", *more]
        words += [f"-o{k}={v}" for k, v in (settings | dict(self.options)).items()]
        if self.port is not None:
            words += ["-p", str(self.port)]
        if self.user is not None:
            words += ["-l", self.user]
        return [*words, "--", self.host]


ENGINES = ("docker", "podman", "isula", "nerdctl")
"""Container engines whose ``exec`` takes the same words."""


@dataclass(frozen=True, slots=True)
class ContainerRunner:
    """A running container, entered with its engine's ``exec``, on any machine that has the engine.

    ``engine`` is one of ENGINES. ``on`` is the machine that runs the container. When a program
    takes too long, only the engine's client is ended: the program stays in the container.
    """

    name: str
    engine: str = "docker"
    on: Runner = field(default_factory=LocalRunner)

    def __post_init__(self) -> None:
        """Refuses a name that the engine would take for an option."""
        if not self.name or self.name.startswith("-"):
            raise UsageError(f"{self.name!r} is not the name of a container")
        if self.engine not in ENGINES:
            raise UsageError(
                f"{self.engine!r} is not a container engine; known are {', '.join(ENGINES)}"
            )

    @property
    def target(self) -> str:
        """The container, and where it runs unless here."""
        on = "" if self.on.target == "local" else f" on {self.on.target}"
        return f"container:{self.name}{on}"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        """See Runner."""
        words = [self.engine, "exec", "-i", self.name, "env", "LC_ALL=C", *argv]
        output = self.on.run(words, timeout=timeout, stdin=stdin)
        # docker says on stdout that it could not start a program, all else on stderr.
        if not output.ok and (not output.stdout or output.stdout.startswith("OCI runtime")):
            self._check(output.exit_code, output.stderr + output.stdout)
        return output

    def read(self, path: str) -> str | None:
        """See Runner."""
        return read_by_cat(self, path)

    def _check(self, exit_code: int, text: str) -> None:
        """Raises Unreachable where it was the engine that failed and not the program."""
        said = text.lower()
        reason = _last_line(text)
        if "no such container" in said or "no container with name" in said:
            raise Unreachable(
                f"there is no container {self.name!r}: {reason}",
                hint=f"list the running ones: {self.engine} ps",
            )
        if "is not running" in said or "container state improper" in said or "is paused" in said:
            raise Unreachable(
                f"the container {self.name!r} does not run: {reason}",
                hint=f"start it: {self.engine} start {self.name}",
            )
        if "cannot connect to the docker daemon" in said or "permission denied while" in said:
            raise Unreachable(
                f"{self.engine} does not answer: {reason}",
                hint="start its daemon, or join the group that may use it",
            )
        if exit_code == NOT_FOUND and self.engine in said:
            raise NoProgram(
                f"there is no {self.engine} on {self.on.target}",
                hint=f"name another engine: {', '.join(ENGINES)}",
            )
        if exit_code in (126, NOT_FOUND) and "oci runtime" in said:
            raise Unreachable(
                f"the container {self.name!r} cannot run programs: {reason}",
                hint="an image without a shell and env cannot be looked into",
            )


def replace_by(runner: Runner, argv: Sequence[str]) -> NoReturn:
    """Becomes ``argv`` on the runner's machine, with this process's terminal; never returns.

    Raises UsageError for a machine that has no terminal (a recording), NoProgram where the program
    that would enter it is not there.
    """
    words = interactive(runner, argv)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(words[0], words)  # noqa: S606 - a list of words, no shell
    except FileNotFoundError:
        raise NoProgram(f"there is no {words[0]} on this machine", hint="install it") from None


def interactive(runner: Runner, argv: Sequence[str]) -> list[str]:
    """The words that run ``argv`` on the runner's machine with a terminal. Raises UsageError."""
    if isinstance(runner, LocalRunner):
        return list(argv)
    if isinstance(runner, SshRunner):
        return runner.interactive(argv)
    if isinstance(runner, ContainerRunner):
        return interactive(runner.on, [runner.engine, "exec", "-it", runner.name, *argv])
    raise UsageError(f"{runner.target} has no terminal")


@dataclass(frozen=True, slots=True)
class RecordedRunner:
    """A machine that answers from memory: the fake that tests and bug reports use.

    ``answers`` maps a program's words to its output, ``files`` a path to its text. What is not
    recorded is a program that is not there (127) and a file that does not exist.
    """

    answers: Mapping[tuple[str, ...], Output] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    target: str = "recording"

    @classmethod
    def load(cls, path: Path) -> RecordedRunner:
        """The recording in a JSON file, or in ``recording.json`` of a folder.

        Its form: ``{"target": "...", "runs": [{"argv": ["uname", "-m"], "exit_code": 0,
        "stdout": "aarch64\\n", "stderr": ""}], "files": {"/etc/hostname": "npu1\\n"}}``; instead of
        ``stdout`` a run may have ``stdout_file``, and instead of a text a file may be
        ``{"file": "NAME"}``, both next to the recording. Raises RunnerError for anything else.
        """
        file = path / "recording.json" if path.is_dir() else path
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            answers = {tuple(run["argv"]): _recorded(run, file.parent) for run in raw["runs"]}
            files = {
                name: text if isinstance(text, str) else (file.parent / text["file"]).read_text()
                for name, text in raw.get("files", {}).items()
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunnerError(
                f"{file} is not a recording: {type(error).__name__} {error}"
            ) from error
        return cls(answers, files, raw.get("target", f"recording:{path.stem}"))

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        """See Runner; ``timeout`` and ``stdin`` change nothing."""
        missing = Output(NOT_FOUND, stderr=f"env: {argv[0]!r}: not in the recording\n")
        return self.answers.get(tuple(argv), missing)

    def read(self, path: str) -> str | None:
        """See Runner."""
        return self.files.get(path)


class Child:
    """A program that runs until it is ended, with all that it starts, on this machine.

    What it prints goes to our standard error. It ends with us, however we end.
    """

    def __init__(self, argv: Sequence[str], variables: Mapping[str, str]) -> None:
        """``variables`` are added to the child's environment. Raises NoProgram, RunnerError."""
        try:
            self._process = subprocess.Popen(  # noqa: S603
                argv,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=2,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        except FileNotFoundError:
            raise NoProgram(f"there is no program {argv[0]!r} on this machine") from None
        except OSError as error:
            raise RunnerError(f"{argv[0]} cannot be started: {error.strerror}") from error

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._process.poll()

    def wait(self) -> int:
        """Waits for its end."""
        return self._process.wait()

    def end(self) -> None:
        """Asks it to end (SIGTERM)."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """Ends it and all that it started at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def _end_with_parent() -> None:
    """In the child before it becomes the program: SIGTERM when the parent is gone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _recorded(run: Mapping[str, object], folder: Path) -> Output:
    stdout = run.get("stdout", "")
    if "stdout_file" in run:
        stdout = (folder / str(run["stdout_file"])).read_text(encoding="utf-8")
    return Output(int(str(run.get("exit_code", 0))), str(stdout), str(run.get("stderr", "")))


def read_by_cat(runner: Runner, path: str) -> str | None:
    """A file through ``cat``, which says in English (LC_ALL=C) why it could not.

    None where there is none. Raises RunnerError.
    """
    output = runner.run(["cat", "--", path])
    if output.ok:
        return output.stdout
    reason = _last_line(output.stderr) or f"cat ended with {output.exit_code}"
    if "No such file" in reason or "Not a directory" in reason:
        return None
    raise RunnerError(f"cannot read {path} on {runner.target}: {reason.rpartition(': ')[2]}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


_SSH_HINTS = (
    ("host key verification failed", "connect once by hand and accept the host's key"),
    ("no host key is known", "connect once by hand and accept the host's key"),
    ("permission denied", "put your public key there (ssh-copy-id), or name the user"),
    ("could not resolve", "check the name of the host"),
    ("name or service not known", "check the name of the host"),
    ("connection refused", "nothing listens there: check the port and that sshd runs"),
    ("timed out", "check the address, the port and the firewall between"),
)


def _no_connection(target: str, stderr: str) -> Unreachable:
    reason = _last_line(stderr) or "ssh ended with 255 and no word"
    hint = next((h for sign, h in _SSH_HINTS if sign in stderr.lower()), "try: ssh -v")
    return Unreachable(f"cannot reach {target}: {reason}", hint=hint)


def _execute(
    argv: Sequence[str],
    timeout: float,
    stdin: str | bytes,
    *,
    shown: Sequence[str],
    where: str = "local",
) -> Output:
    """Runs a program here in a process group of its own, which is ended as a whole."""
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - a list of words, no shell
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    data = stdin.encode() if isinstance(stdin, str) else stdin
    name = shown[0] if shown else "?"
    on = "" if where == "local" else f" on {where}"
    try:
        stdout, stderr = _exchange(process, data, began + timeout)
        code = process.wait(max(0.0, began + timeout - time.monotonic()))
    except (_TooLate, subprocess.TimeoutExpired):
        raise TimedOut(
            f"{name}{on} did not answer within {timeout:g} s",
            hint="the machine is overloaded or the program hangs; look at it by hand",
        ) from None
    except _TooMuch:
        raise RunnerError(f"{name}{on} printed more than {OUTPUT_LIMIT} bytes") from None
    finally:
        _end(process)
    seconds = time.monotonic() - began
    text = stdout.decode(errors="replace")
    return Output(code, text, stderr.decode(errors="replace"), seconds, stdout)


class _TooLate(Exception):
    """The deadline passed."""


class _TooMuch(Exception):
    """More output than OUTPUT_LIMIT."""


def _exchange(
    process: subprocess.Popen[bytes], data: bytes, deadline: float
) -> tuple[bytes, bytes]:
    """Feeds stdin and collects both outputs at once, so that neither side blocks the other."""
    got: dict[object, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    rest = memoryview(data)
    stdin = cast("IO[bytes]", process.stdin)
    os.set_blocking(stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE)
        for stream in (process.stdout, process.stderr):
            selector.register(cast("IO[bytes]", stream), selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise _TooLate
            for key, _ in selector.select(left):
                if key.fileobj is stdin:
                    try:
                        rest = rest[os.write(key.fd, rest[:_CHUNK]) :] if rest else rest
                    except BrokenPipeError:  # it did not want to hear the rest
                        rest = rest[:0]
                    if not rest:
                        selector.unregister(stdin)
                        stdin.close()
                    continue
                chunk = os.read(key.fd, _CHUNK)
                got[key.fileobj] += chunk
                if not chunk:
                    selector.unregister(key.fileobj)
                elif len(got[key.fileobj]) > OUTPUT_LIMIT:
                    raise _TooMuch
    return bytes(got[process.stdout]), bytes(got[process.stderr])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends whatever is left of the process group."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends whatever is left of the process group and closes its pipes."""
    _kill(process)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


GRACE = 5.0
"""Seconds that a coprocess has to end by itself once nobody talks to it any more."""

_LAST_WORDS = 4000


class Coprocess:
    """A program of this machine that stays: bytes to its standard input, bytes from its output.

    What it says on standard error goes into a file, whose end is quoted when it dies. It has a
    process group of its own, so that Ctrl-C is for us and its children end with it. One caller at
    a time.
    """

    def __init__(
        self,
        argv: Sequence[str],
        name: str,
        *,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Starts ``argv`` in ``folder``, with ``variables`` over our environment.

        ``name`` is what errors call it. Raises NoProgram if it cannot be started.
        """
        self.name = name
        words = ["env", *(f"{k}={v}" for k, v in (variables or {}).items()), *argv]
        # A file, not a pipe: nobody reads it meanwhile, and a full pipe would stop the program.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in kill()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a list of words, no shell
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise NoProgram(f"{name} cannot be started: {error}") from error
        self._stdin = cast("IO[bytes]", self._process.stdin).fileno()
        self._stdout = cast("IO[bytes]", self._process.stdout).fileno()
        os.set_blocking(self._stdin, False)

    @property
    def pid(self) -> int:
        """Its process number (``env`` becomes the program, so this is the program's)."""
        return self._process.pid

    def write(self, data: bytes, timeout: float) -> None:
        """Sends all of ``data``. Raises RunnerError if it has ended, TimedOut if it reads not."""
        rest, deadline = memoryview(data), time.monotonic() + timeout
        while rest:
            self._wait(self._stdin, selectors.EVENT_WRITE, deadline, timeout)
            try:
                rest = rest[os.write(self._stdin, rest[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._ended() from None

    def read(self, count: int, timeout: float) -> bytes:
        """Exactly ``count`` bytes. Raises RunnerError if it ends before, TimedOut."""
        got, deadline = bytearray(), time.monotonic() + timeout
        while len(got) < count:
            self._wait(self._stdout, selectors.EVENT_READ, deadline, timeout)
            piece = os.read(self._stdout, min(count - len(got), 1 << 20))
            if not piece:
                raise self._ended()
            got += piece
        return bytes(got)

    def close(self) -> None:
        """Closes its input, waits GRACE seconds for its end and then ends it. May be repeated."""
        stdin = cast("IO[bytes]", self._process.stdin)
        if not stdin.closed:
            stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
        self.kill()

    def signal(self) -> None:
        """Ends it at once and leaves its pipes: whoever reads from it sees their end."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Ends it and its children at once. May be repeated."""
        _end(self._process)
        self._errors.close()

    def _wait(self, descriptor: int, event: int, deadline: float, timeout: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimedOut(
                    f"{self.name} did not answer within {timeout:g} s",
                    hint="the machine is overloaded or the program hangs",
                )

    def _ended(self) -> RunnerError:
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return RunnerError(f"{self.name} closed its output")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _LAST_WORDS))
        said = _last_line(self._errors.read().decode(errors="replace"))
        return RunnerError(f"{self.name} ended with {how}" + (f": {said}" if said else ""))
