"""Runners: what every machine promises, proved on this one and on stand-ins for the others."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import psutil
import pytest

from paddock import shell
from paddock.errors import NoProgram, RunnerError, TimedOut, Unreachable, UsageError
from paddock.shell import ContainerRunner, Coprocess, LocalRunner, Output, RecordedRunner, SshRunner

LOCAL = LocalRunner()


def test_output_exit_code_and_time_come_back() -> None:
    output = LOCAL.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (output.exit_code, output.stdout, output.stderr) == (3, "out\n", "err\n")
    assert output.raw == b"out\n"
    assert not output.ok
    assert 0 < output.seconds < 10


def test_a_program_that_is_not_there_is_127() -> None:
    output = LOCAL.run(["no-such-program-here"])
    assert output.exit_code == shell.NOT_FOUND
    assert "No such file" in output.stderr


def test_messages_are_english_whatever_the_users_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert LOCAL.run(["sh", "-c", "echo $LC_ALL"]).stdout == "C\n"


def test_words_are_never_split_or_expanded() -> None:
    words = ["a b", "$HOME", "*", "'", '"', "\\", "é", "", "-n"]
    assert LOCAL.run(["printf", "%s|", *words]).stdout == "".join(f"{word}|" for word in words)


def test_both_streams_and_stdin_may_be_large_at_once() -> None:
    text = "0123456789abcde\n" * 100_000
    output = LOCAL.run(["sh", "-c", "tee /dev/stderr"], stdin=text)
    assert output.stdout == text
    assert output.stderr == text


def test_a_program_that_does_not_read_its_input_is_no_error() -> None:
    assert LOCAL.run(["true"], stdin="x" * 2**20).ok


def test_bytes_that_are_not_text_are_replaced_and_kept() -> None:
    output = LOCAL.run(["printf", "a\\377b"])
    assert output.stdout == "a\ufffdb"
    assert output.raw == b"a\xffb"


def test_too_slow_ends_the_program_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"did not answer within 0\.5 s"):
        LOCAL.run(["sh", "-c", f"sleep 60 & echo $! > {note}; wait"], timeout=0.5)
    assert time.monotonic() - began < 20
    child = int(note.read_text())
    psutil.wait_procs([p for p in psutil.process_iter() if p.pid == child], timeout=10)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_too_much_output_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "OUTPUT_LIMIT", 2**16)
    with pytest.raises(RunnerError, match="yes printed more than 65536 bytes"):
        LOCAL.run(["yes"])


def test_no_file_descriptors_are_left_open() -> None:
    me = psutil.Process()
    LOCAL.run(["true"])
    before = me.num_fds()
    for _ in range(5):
        LOCAL.run(["true"])
        with pytest.raises(TimedOut):
            LOCAL.run(["sleep", "9"], timeout=0.05)
    assert me.num_fds() == before


def test_reading_files(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(b"one\ntwo\xff\n")
    assert LOCAL.read(str(file)) == "one\ntwo\ufffd\n"
    assert LOCAL.read(str(tmp_path / "none")) is None
    assert LOCAL.read(str(file / "below")) is None
    with pytest.raises(RunnerError, match="Is a directory"):
        LOCAL.read(str(tmp_path))


def test_reading_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "OUTPUT_LIMIT", 10)
    (tmp_path / "big").write_text("x" * 11)
    with pytest.raises(RunnerError, match="larger than 10 bytes"):
        LOCAL.read(str(tmp_path / "big"))


@pytest.mark.parametrize(
    ("address", "host", "user", "port", "target"),
    [
        ("npu1", "npu1", None, None, "ssh://npu1"),
        ("ssh://npu1", "npu1", None, None, "ssh://npu1"),
        ("ssh://root@npu1:2223/", "npu1", "root", 2223, "ssh://root@npu1:2223"),
        ("me@10.0.0.7", "10.0.0.7", "me", None, "ssh://me@10.0.0.7"),
        ("ssh://root@[fe80::1]:22", "fe80::1", "root", 22, "ssh://root@[fe80::1]:22"),
        ("[::1]", "::1", None, None, "ssh://[::1]"),
    ],
)
def test_addresses(
    address: str, host: str, user: str | None, port: int | None, target: str
) -> None:
    runner = SshRunner.parse(address)
    assert (runner.host, runner.user, runner.port) == (host, user, port)
    assert runner.target == target


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ssh://",
        "-oProxyCommand=x",
        "ssh://-x",
        "-l@h",
        "@h",
        "h:x",
        "h:",
        "a b",
        "h;id",
        "h/../x",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match="not the address of a host"):
        SshRunner.parse(address)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the front of the PATH, for programs that this machine may not have."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_ssh_gets_words_that_a_shell_gives_back_unchanged(stand_in: Path) -> None:
    # What a real sshd does with the command: it hands one line to the user's shell.
    program(stand_in, "ssh", 'for word; do last=$word; done; exec sh -c "$last"')
    words = ["a b", "$HOME", "*", "'", '"', "\\", "", ";id"]
    output = SshRunner("npu1").run(["printf", "%s|", *words])
    assert output.stdout == "".join(f"{word}|" for word in words)


def test_ssh_asks_nothing_and_shares_a_connection_if_told(stand_in: Path, tmp_path: Path) -> None:
    program(stand_in, "ssh", 'printf "%s\\n" "$@"')
    plain = SshRunner("h", "me", 2223).run(["true"]).stdout.splitlines()
    assert "-oBatchMode=yes" in plain
    assert plain[-6:] == ["-p", "2223", "-l", "me", "--", "h", "env LC_ALL=C true"][-6:]
    assert not any("Control" in word for word in plain)
    shared = SshRunner("h", control=tmp_path, options={"User": "x"}).run(["true"]).stdout
    assert f"-oControlPath={tmp_path}/%C" in shared
    assert "-oUser=x" in shared


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Host key verification failed.", "accept the host's key"),
        ("me@h: Permission denied (publickey).", "put your public key there"),
        ("ssh: Could not resolve hostname h: Name or service not known", "check the name"),
        ("ssh: connect to host h port 22: Connection refused", "nothing listens there"),
        ("ssh: connect to host h port 22: Connection timed out", "check the address"),
        ("kex_exchange_identification: read: Connection reset by peer", "ssh -v"),
    ],
)
def test_why_ssh_could_not_connect(stand_in: Path, said: str, hint: str) -> None:
    program(stand_in, "ssh", f"echo '{said}' >&2; exit 255")
    with pytest.raises(Unreachable) as caught:
        SshRunner("h").run(["true"])
    assert said in str(caught.value)
    assert hint in str(caught.value.hint)


def test_a_machine_without_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").symlink_to("/usr/bin/env")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoProgram, match="no ssh on this machine"):
        SshRunner("h").run(["true"])


def test_the_exit_code_of_the_far_program_comes_back(stand_in: Path) -> None:
    program(stand_in, "ssh", "echo done; exit 255")
    assert SshRunner("h").run(["x"]).exit_code == 255


def test_containers_are_entered_with_exec(stand_in: Path) -> None:
    program(stand_in, "docker", 'echo "$@"; cat')
    output = ContainerRunner("web").run(["sh", "-s"], stdin="hello")
    assert output.stdout == "exec -i web env LC_ALL=C sh -s\nhello"


def test_a_container_on_another_machine(stand_in: Path) -> None:
    program(stand_in, "ssh", 'for word; do last=$word; done; exec sh -c "$last"')
    program(stand_in, "podman", 'echo "$@"')
    runner = ContainerRunner("web", "podman", SshRunner("npu1"))
    assert runner.run(["id", "-u"]).stdout == "exec -i web env LC_ALL=C id -u\n"
    assert runner.target == "container:web on ssh://npu1"


@pytest.mark.parametrize(
    ("said", "code", "kind", "message"),
    [
        ("No such container: web", 1, Unreachable, "no container 'web'"),
        (
            'no container with name or ID "web" found: no such',
            125,
            Unreachable,
            "no container 'web'",
        ),
        ("Error response from daemon: container abc is not running", 1, Unreachable, "not run"),
        (
            "can only exec in running containers: container state improper",
            255,
            Unreachable,
            "not run",
        ),
        ("Cannot connect to the Docker daemon at unix:///x.", 1, Unreachable, "does not answer"),
        ("OCI runtime exec failed: exec: env: not found", 126, Unreachable, "cannot run programs"),
    ],
)
def test_why_a_container_could_not_be_entered(
    stand_in: Path, said: str, code: int, kind: type[Exception], message: str
) -> None:
    program(stand_in, "docker", f"cat >&2 <<'X'\n{said}\nX\nexit {code}")
    with pytest.raises(kind, match=message):
        ContainerRunner("web").run(["true"])


def test_docker_says_on_stdout_that_a_program_could_not_start(stand_in: Path) -> None:
    said = 'OCI runtime exec failed: exec: "env": executable file not found in $PATH: unknown'
    program(stand_in, "docker", f"cat <<'X'\n{said}\nX\nexit 126")
    with pytest.raises(Unreachable, match="cannot run programs"):
        ContainerRunner("web").run(["true"])


def test_an_engine_that_is_not_there(stand_in: Path) -> None:
    with pytest.raises(NoProgram, match="no isula on local"):
        ContainerRunner("web", "isula").run(["true"])


def test_a_program_in_a_container_may_fail_as_it_likes(stand_in: Path) -> None:
    program(stand_in, "docker", "echo 'no such container' ; echo oops >&2; exit 1")
    assert ContainerRunner("web").run(["x"]).exit_code == 1


@pytest.mark.parametrize(("name", "engine"), [("", "docker"), ("-x", "docker"), ("web", "dokcer")])
def test_names_that_cannot_be_meant(name: str, engine: str) -> None:
    with pytest.raises(UsageError):
        ContainerRunner(name, engine)


def test_far_files_are_read_with_cat(stand_in: Path, tmp_path: Path) -> None:
    program(stand_in, "docker", 'shift 3; exec "$@"')
    runner = ContainerRunner("web")
    (tmp_path / "file").write_text("text\n")
    assert runner.read(str(tmp_path / "file")) == "text\n"
    assert runner.read(str(tmp_path / "none")) is None
    with pytest.raises(RunnerError, match="Is a directory"):
        runner.read(str(tmp_path))


def test_recordings_answer_and_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("long\n")
    recording = {
        "target": "npu1",
        "runs": [
            {"argv": ["uname", "-m"], "stdout": "aarch64\n"},
            {"argv": ["npu-smi"], "exit_code": 8, "stderr": "no device\n"},
            {"argv": ["long"], "stdout_file": "long.txt"},
        ],
        "files": {"/etc/hostname": "npu1\n", "/long": {"file": "long.txt"}},
    }
    (tmp_path / "recording.json").write_text(json.dumps(recording))
    runner = RecordedRunner.load(tmp_path)
    assert runner.target == "npu1"
    assert runner.run(["uname", "-m"]) == Output(0, "aarch64\n")
    assert runner.run(["npu-smi"]) == Output(8, stderr="no device\n")
    assert runner.run(["long"]).stdout == "long\n"
    assert runner.run(["other"]).exit_code == shell.NOT_FOUND
    assert runner.read("/etc/hostname") == "npu1\n"
    assert runner.read("/long") == "long\n"
    assert runner.read("/other") is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"runs": [{}]}', '{"runs": 3}'])
def test_files_that_are_no_recordings(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RunnerError, match="not a recording"):
        RecordedRunner.load(tmp_path / "x.json")


def test_a_coprocess_is_talked_with_and_ends_when_its_input_does(tmp_path: Path) -> None:
    cat = Coprocess(["cat"], "cat", folder=tmp_path)
    text = b"0123456789abcdef" * 2**12  # as much as a pipe holds
    for _ in range(3):
        cat.write(text, 30)
        assert cat.read(len(text), 30) == text
    process = psutil.Process(cat.pid)
    assert process.cwd() == str(tmp_path)
    cat.close()
    cat.close()
    assert not process.is_running()


def test_a_coprocess_has_our_environment_and_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    show = Coprocess(["sh", "-c", "echo $OURS$MORE"], "sh", variables={"MORE": "2 3"})
    assert show.read(5, 30) == b"12 3\n"
    show.close()


def test_a_coprocess_that_died_says_how(tmp_path: Path) -> None:
    failed = Coprocess(["sh", "-c", "echo working; echo so it went >&2; exit 3"], "the helper")
    with pytest.raises(RunnerError, match="the helper ended with exit code 3: so it went"):
        failed.read(100, 30)
    failed.close()
    killed = Coprocess(["sh", "-c", "kill -9 $$"], "the helper")
    with pytest.raises(RunnerError, match=r"the helper ended with signal SIGKILL$"):
        killed.read(1, 30)
    killed.kill()
    closed = Coprocess(["sh", "-c", "exec <&-; echo; sleep 60"], "the helper")
    closed.read(1, 30)
    with pytest.raises(RunnerError, match="the helper"):
        closed.write(b"x" * 2**20, 0.3)
    closed.kill()
    with pytest.raises(RunnerError, match=r"exit code 127: .*no-such-program-here"):
        Coprocess(["no-such-program-here"], "the helper").read(1, 30)
    with pytest.raises(NoProgram, match="the helper cannot be started"):
        Coprocess(["cat"], "the helper", folder=tmp_path / "no such folder")


def test_a_coprocess_that_hangs_is_noticed_and_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "child"
    hangs = Coprocess(["sh", "-c", f"sleep 60 & echo $! > {note}; echo; wait"], "the helper")
    hangs.read(1, 30)
    child = psutil.Process(int(note.read_text()))
    with pytest.raises(TimedOut, match=r"the helper did not answer within 0\.2 s"):
        hangs.read(100, 0.2)
    with pytest.raises(TimedOut):
        hangs.write(b"x" * 2**20, 0.2)
    hangs.kill()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
