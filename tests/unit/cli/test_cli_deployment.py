"""The front door on this machine: init, plan, up, status, logs, shell, exec, verify, down."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_child import ROOT, child

from conftest import Result
from paddock import settings
from paddock.deploy.plan import Journal

Paddock = Callable[..., Result]


@pytest.fixture
def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> Iterator[Path]:
    """A working folder with a stack file, and locks of its own; what was started is ended."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    (tmp_path / "paddock.yaml").write_text(f"name: lab\nserve: {{port: {port}}}\n")
    yield tmp_path
    with child("down", "--yes", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as last:
        assert last.wait(120) == 0


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_from_nothing_to_an_answer_and_back(paddock: Paddock, folder: Path, port: int) -> None:
    state = settings.load().state
    planned = paddock("plan", "--json")
    assert planned.code == 0
    (host,) = json.loads(planned.out)["hosts"]
    assert [(s["id"], s["status"]) for s in host["steps"]] == [
        ("serve.command", "change"),
        ("serve.process", "change"),
    ]
    assert not state.exists()  # a plan changes nothing, here neither
    first = paddock("up", "--yes")
    assert first.code == 0, first.err
    assert f"+exec {sys.executable} -m paddock serve" in first.out
    assert first.out.endswith(f"serves at http://127.0.0.1:{port}\n")
    assert "passed: A known answer over HTTP" in first.err
    second = paddock("up")
    assert second.code == 0
    assert second.out == f"nothing to change\nserves at http://127.0.0.1:{port}\n"
    journal = (state / "lab/journal.jsonl").read_text()
    assert [e["event"] for e in objects(journal)] == ["begin", "done"] * 2
    _the_other_commands(paddock, port)
    _changed_by_hand(paddock, state)
    down = paddock("down", "--yes")
    assert down.code == 0, down.err
    assert down.out == "- serve.process\n- serve.command\nas it was before\n"
    assert not (state / "lab/target").exists()
    assert paddock("down", "--yes").out == "nothing to undo\n"
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", port)) != 0


def _the_other_commands(paddock: Paddock, port: int) -> None:
    status = paddock("status")
    assert (status.code, status.out.splitlines()[0]) == (0, "local: up")
    assert f"listening on http://127.0.0.1:{port}" in paddock("logs").out or paddock("logs").out
    assert "ready at" in paddock("logs", "--step", "serve.process").out
    assert paddock("logs", "--step", "no.such").code == 2
    ran = paddock("exec", "--", "sh", "-c", "echo here; echo there >&2; exit 3")
    assert (ran.code, ran.out, ran.err) == (3, "here\n", "there\n")
    asked = paddock("verify", "--json")
    assert asked.code == 0
    assert objects(asked.out)[0]["verified"]["ok"] is True
    assert "needs a terminal" in paddock("shell").err


def _changed_by_hand(paddock: Paddock, state: Path) -> None:
    """What somebody changed since is seen, shown as a diff and put right."""
    run = state / "lab/target/serve/run"
    right = run.read_text()
    run.write_text(right + "# mine\n")
    seen = paddock("status")
    assert (seen.code, seen.out.splitlines()[0]) == (1, "local: incomplete")
    assert "changed since" in seen.out
    shown = paddock("plan").out
    assert "    -# mine\n" in shown
    events = objects(paddock("up", "--yes", "--json").out)
    assert events[-1]["ok"] is True
    done = [e["event"]["step"] for e in events if e.get("event", {}).get("kind") == "done"]
    assert done == ["serve.command"]
    assert run.read_text() == right


def test_a_port_that_is_taken_is_a_finding(paddock: Paddock, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        failed = paddock("up", "--yes")
        assert failed.code == 1
        assert "serve.process on local" in failed.err
        assert "the doctor: a port is taken" in failed.err
        assert paddock("status").out.splitlines()[0] == "local: incomplete"
    again = paddock("up", "--yes", "--no-verify")
    assert again.code == 0, again.err


def test_nobody_to_ask(paddock: Paddock) -> None:
    asked = paddock("up")
    assert (asked.code, asked.err) == (
        2,
        "error: nobody is there to ask (give --yes if you mean it)\n",
    )
    assert not settings.load().state.exists()


def test_on_a_terminal_it_asks(terminal: Callable[..., Any]) -> None:
    shown = terminal("up", env={"NO_COLOR": "1"})
    assert "2 steps to do" in shown.until("Do this? [y/N] ")
    shown.type("n\n")
    assert shown.finish() == 1
    assert "nothing was changed" in shown.seen
    live = terminal("up", "--no-verify", env={"NO_COLOR": "1"})
    live.until("Do this? [y/N] ")
    live.type("y\n")
    live.until("done serve.command")
    live.until("done serve.process")
    assert live.finish() == 0
    inside = terminal("shell", env={"NO_COLOR": "1", "PS1": "$ "})
    inside.type("echo $((6 * 7))x\nexit 5\n")
    inside.until("42x")
    assert inside.finish() == 5


def test_ctrl_c_leaves_what_can_be_gone_on_with(paddock: Paddock, folder: Path) -> None:
    running = child(
        "up", "--yes", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
    )
    assert running.stdout is not None
    for line in running.stdout:
        event = json.loads(line).get("event", {})
        if event.get("kind") == "begin" and event["step"] == "serve.process":
            break
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode in (0, 130)  # the first where it was quicker
    assert b"Traceback" not in said
    assert not list((folder / "tmp").glob("paddock.lock*"))
    assert paddock("up", "--yes", "--no-verify").code == 0
    assert paddock("up").out.startswith("nothing to change\n")


def test_two_at_once(paddock: Paddock, folder: Path) -> None:
    """Two people press Enter: one does it, the other is told; nothing is done twice."""
    both = [
        child("up", "--yes", "--no-verify", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    texts = [each.communicate(timeout=180)[0].decode() for each in both]
    codes = sorted(each.returncode for each in both)
    assert codes in ([0, 1], [0, 0]), texts
    if codes == [0, 1]:
        assert any("works on this deployment" in text for text in texts)
    events = objects((settings.load().state / "lab/journal.jsonl").read_text())
    assert [e["event"] for e in events] == ["begin", "done"] * 2
    assert Journal(settings.load().state / "lab/journal.jsonl").entries()
    assert paddock("up").out.startswith("nothing to change\n")


def test_init(paddock: Paddock, folder: Path) -> None:
    refused = paddock("init")
    assert (refused.code, refused.err) == (
        2,
        "error: paddock.yaml exists (delete it, or name another: --file FILE)\n",
    )
    assert paddock("init", "--file", "new.yaml").code == 0
    assert "name: llama" in (folder / "new.yaml").read_text()
    written = paddock("init", "--preset", "atlas-800-9000", "--file", "npu.yaml")
    assert written.code == 0
    assert "128G" in (folder / "npu.yaml").read_text()
    assert json.loads(paddock("init", "--schema").out)["title"] == "paddock.yaml"
    assert "did you mean 'nvidia'" in paddock("init", "--preset", "nvida", "-f", "x.yaml").err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("plan", "--limit", "lokal"), "no host or group 'lokal'; did you mean 'local'?"),
        (("up", "--ignore", "disk-ful"), "the doctor has no rule 'disk-ful'; did you mean"),
        (("exec", "--on", "npu1", "--", "true"), "there is no host 'npu1'"),
        (("plan", "--file", "none.yaml"), "cannot read none.yaml"),
    ],
)
def test_words_that_mean_nothing(paddock: Paddock, args: tuple[str, ...], says: str) -> None:
    refused = paddock(*args)
    assert refused.code == 2
    assert says in refused.err
