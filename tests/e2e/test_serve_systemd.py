"""The server as a service of a real systemd: by ``paddock up``, and by the units it writes out."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from systemdhost import SystemdHost, booted
from test_container_lifecycle import busybox_tar

from paddock.deploy.rehearse import driver
from paddock.shell import Output

pytestmark = pytest.mark.e2e

STATE = '/root/a "state" 100% $HOME'
"""Signs that systemd, the shell and a unit's directives read, each in its own way."""

UNIT = "paddock-lab"
NOT_OURS = re.compile(
    rf"^{re.escape(STATE)}/|/__pycache__/|^/(var/lib/containers|etc/(cni|containers)|root/\.rpmdb)/"
)
"""Journals and locks, which stay; what Python and podman (when it is asked what it is) write."""

HERE = Path(sys.executable).with_name("paddock")


@pytest.fixture(scope="module")
def host() -> Iterator[SystemdHost]:
    with booted() as made:
        done = made.run([sys.executable, "-c", "import paddock.inference.serve.app"])
        if not done.ok:
            pytest.skip(f"this Python does not run on a layer over the machine: {done.stderr}")
        yield made


def paddock(host: SystemdHost, *words: str, stack: dict[str, Any] | None = None) -> Output:
    """The command line on the host itself, where ``/root/paddock.yaml`` lies."""
    if stack is not None:
        text = yaml.safe_dump({"name": "lab", "container": {"engine": "none"}, **stack})
        assert host.run(["tee", "/root/paddock.yaml"], stdin=text).ok
    variables = ["env", "-C", "/root", f"PADDOCK_STATE={STATE}", f"PADDOCK_HOME={STATE}/store"]
    return host.run([*variables, sys.executable, "-m", "paddock", *words], timeout=600)


def up(host: SystemdHost, stack: dict[str, Any] | None = None) -> list[str]:
    """``paddock up`` with its verification; the steps it did."""
    done = paddock(host, "up", "--yes", "--json", stack=stack)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.ok, (done.stderr, done.stdout[-3000:], journal(host))
    events = [line.get("event") or {} for line in lines]
    return [event["step"] for event in events if event.get("kind") == "done"]


def journal(host: SystemdHost) -> str:
    return host.run(["journalctl", "--no-pager", "-n", "40"]).stdout


def answer(host: SystemdHost, port: int) -> str:
    """What the served model writes; the host's network is its own."""
    ask = (
        "import json, sys, urllib.request as u\n"
        "body = {'model': 'demo', 'prompt': 'LLaMA is a', 'max_tokens': 8, 'temperature': 0}\n"
        "head = {'Content-Type': 'application/json'}\n"
        "request = u.Request(sys.argv[1], json.dumps(body).encode(), head)\n"
        "print(json.load(u.urlopen(request, timeout=60))['choices'][0]['text'])\n"
    )
    url = f"http://127.0.0.1:{port}/v1/completions"
    return host.run([sys.executable, "-I", "-c", ask, url]).stdout


def wait(true: Callable[[], Any], host: SystemdHost, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, journal(host)
        time.sleep(0.2)


def main_pid(host: SystemdHost, unit: str) -> str:
    return host.systemctl("show", "-p", "MainPID", "--value", unit)


def killed(host: SystemdHost, unit: str, port: int) -> None:
    """Kills a service's main process; returns when another has taken its place and answers."""
    before = main_pid(host, unit)
    assert host.systemctl("kill", "--kill-who=main", "-s", "KILL", unit) == ""
    wait(lambda: main_pid(host, unit) not in ("0", before) and answer(host, port), host)


def test_up_makes_a_service_and_down_takes_it_back(host: SystemdHost) -> None:
    before = host.files()
    stack = {"stack": {"framework": "paddock"}, "serve": {"port": 8123}}
    assert up(host, stack)[-1] == "serve.process"
    assert host.systemctl("is-active", UNIT) == "active"
    assert host.systemctl("is-enabled", UNIT) == "enabled"
    checked = host.run(["systemd-analyze", "verify", f"/etc/systemd/system/{UNIT}.service"])
    assert (checked.ok, checked.stdout + checked.stderr) == (True, "")
    assert "world-inaccessible" not in journal(host)
    first = answer(host, 8123)
    assert first
    # The service looks for models where who made it does.
    environ = host.run(["cat", f"/proc/{main_pid(host, UNIT)}/environ"]).stdout
    assert f"PADDOCK_HOME={STATE}/store" in environ.split("\0")

    assert paddock(host, "up", "--yes").stdout.splitlines()[0] == "nothing to change"
    killed(host, UNIT, 8123)
    assert answer(host, 8123) == first
    assert paddock(host, "up", "--yes").stdout.splitlines()[0] == "nothing to change"

    # As at a start of the machine: what is enabled comes by itself.
    host.systemctl("stop", UNIT)
    assert host.systemctl("is-active", UNIT) == "inactive"
    host.systemctl("start", "multi-user.target")
    wait(lambda: answer(host, 8123), host)

    # Stopped by somebody, then another port: both are seen, and mended.
    host.systemctl("stop", UNIT)
    assert "not running" in paddock(host, "plan").stdout
    assert up(host) == ["serve.process"]
    stack["serve"]["port"] = 8124
    assert up(host, stack) == ["serve.command", "serve.process"]
    assert answer(host, 8124) == first
    assert not answer(host, 8123)
    assert "8124" in paddock(host, "logs").stdout

    down = paddock(host, "down", "--yes")
    assert down.ok, down.stdout + down.stderr
    assert not answer(host, 8124)
    assert host.systemctl("list-units", "--all", "--no-legend", "paddock*") == ""
    assert host.systemctl("list-unit-files", "--no-legend", "paddock*") == ""
    left = {name for name in host.files() - before if not NOT_OURS.search(name)}
    assert left == {"/root/paddock.yaml"}


def test_a_server_that_cannot_start_is_said_and_not_left_trying(host: SystemdHost) -> None:
    stack = {"stack": {"framework": "paddock"}, "serve": {"port": 8125, "options": ["--nonsense"]}}
    done = paddock(host, "up", "--yes", "--no-verify", stack=stack)
    assert done.exit_code == 1, done.stdout
    assert "--nonsense" in done.stdout + done.stderr, "the server's own words"
    assert host.systemctl("is-active", UNIT) != "activating"
    assert host.systemctl("is-enabled", UNIT) == "disabled"
    assert paddock(host, "down", "--yes").ok
    assert host.systemctl("list-units", "--all", "--no-legend", "paddock*") == ""


def open_to_all(host: SystemdHost, *paths: Path) -> None:
    """Lets everybody through to these; where the tests run, they may lie in root's home."""
    folders = {str(folder) for path in paths for folder in path.resolve().parents}
    folders |= {str(folder) for path in paths for folder in path.parents}
    assert host.run(["chmod", "o+rx", *folders]).ok


def test_the_unit_of_a_server_serves_is_restarted_and_drains(host: SystemdHost) -> None:
    exported = paddock(host, "export", "systemd", "--", "--port", "8126")
    assert exported.ok, exported.stderr
    file = "/etc/systemd/system/paddock.service"
    assert host.run(["tee", file], stdin=exported.stdout).ok
    checked = host.run(["systemd-analyze", "verify", file])
    assert (checked.ok, checked.stdout + checked.stderr) == (True, "")
    open_to_all(host, HERE, Path(sys.executable))
    # What it tells to do, word by word.
    told = re.findall(r"^# ((?:useradd|systemctl) .*?)(?:\s+#.*)?$", exported.stdout, re.MULTILINE)
    assert len(told) == 2
    for line in told:
        done = host.run(["sh", "-c", line])
        assert done.ok, (line, done.stderr)
    wait(lambda: answer(host, 8126), host)
    owner = host.run(["stat", "-c", "%U", f"/proc/{main_pid(host, 'paddock')}"]).stdout.strip()
    assert owner == "paddock"
    killed(host, "paddock", 8126)
    host.systemctl("stop", "paddock")
    assert host.systemctl("show", "-p", "Result", "--value", "paddock") == "success"
    assert host.systemctl("show", "-p", "ExecMainStatus", "--value", "paddock") == "0"
    assert not answer(host, 8126)
    assert "draining" in host.run(["journalctl", "--no-pager", "-u", "paddock"]).stdout
    host.systemctl("disable", "paddock")
    assert host.run(["rm", file]).ok
    assert host.run(["userdel", "paddock"]).ok


IMAGE = "paddock-test-busybox:2"


@pytest.fixture
def docker(host: SystemdHost) -> Iterator[None]:
    """Debian's docker.service, started by systemd, with an image of busybox."""
    if not host.run(["test", "-e", "/lib/systemd/system/docker.service"]).ok:
        pytest.skip("docker is not installed (Debian: docker.io)")
    lowered = "/usr/local/bin/lowered"  # as everywhere here: where root lacks CAP_SYS_RESOURCE
    assert host.run(["tee", lowered], stdin=driver.text("ascend-docker-runtime")).ok
    assert host.run(["chmod", "755", lowered]).ok
    settings = {
        "bridge": "none",
        "iptables": False,
        "ip-forward": False,
        "runtimes": {"lowered": {"path": lowered}},
        "default-runtime": "lowered",
    }
    assert host.run(["mkdir", "-p", "/etc/docker", "/var/lib/docker"]).ok
    assert host.run(["tee", "/etc/docker/daemon.json"], stdin=json.dumps(settings)).ok
    assert host.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib/docker"]).ok
    started = host.run(["systemctl", "start", "docker"])
    assert started.ok, journal(host)
    imported = host.run(["docker", "import", "-", IMAGE], stdin=busybox_tar())
    assert imported.ok, imported.stderr
    yield
    host.systemctl("stop", "docker.socket", "docker", "containerd")


def running(host: SystemdHost) -> bool:
    state = host.run(["docker", "inspect", "-f", "{{.State.Running}}", "box"])
    return state.stdout.strip() == "true"


def test_the_unit_of_a_container_starts_and_stops_it(host: SystemdHost, docker: None) -> None:
    stack = {
        "stack": {"framework": "paddock"},
        "serve": {"enabled": False},
        "container": {
            **{"engine": "docker", "name": "box", "image": IMAGE, "network": "none"},
            **{"restart": "no", "ports": []},
        },
    }
    done = paddock(host, "up", "--yes", "--no-verify", stack=stack)
    assert done.ok, done.stdout + done.stderr
    exported = paddock(host, "export", "systemd", "-f", "/root/paddock.yaml")
    assert exported.ok, exported.stderr
    file = "/etc/systemd/system/box.service"
    assert f"# {file}, written by" in exported.stdout
    assert host.run(["tee", file], stdin=exported.stdout).ok
    checked = host.run(["systemd-analyze", "verify", file])
    assert (checked.ok, checked.stdout + checked.stderr) == (True, "")
    assert host.run(["docker", "stop", "-t", "5", "box"]).ok
    (told,) = re.findall(r"^# (systemctl .*)$", exported.stdout, re.MULTILINE)
    started = host.run(["sh", "-c", told])
    assert started.ok, (started.stderr, journal(host))
    wait(lambda: running(host), host)
    assert host.systemctl("is-active", "box") == "active"
    assert paddock(host, "up", "--yes").stdout.splitlines()[0] == "nothing to change"

    assert host.run(["docker", "kill", "box"]).ok
    wait(lambda: not running(host), host)
    wait(lambda: running(host), host)
    host.systemctl("stop", "box")
    assert not running(host)
    assert host.systemctl("show", "-p", "Result", "--value", "box") == "success"
    host.systemctl("disable", "box")
    assert host.run(["rm", file]).ok
    assert paddock(host, "down", "--yes").ok
    assert not host.run(["docker", "inspect", "box"]).ok
