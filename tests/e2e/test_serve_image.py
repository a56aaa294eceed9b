"""The recipe that ``paddock export containerfile`` writes, built by a real Docker and run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from paddock.inference.serve.export import containerfile

# Installs packages into the image: minutes, and the network that pip and apt have here.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BASE = next(line.split()[1] for line in containerfile([]).splitlines() if line[:5] == "FROM ")
IMAGE = "paddock-test-serve:1"


def run(*words: str, timeout: float = 600) -> str:
    done = subprocess.run(words, capture_output=True, timeout=timeout, check=False)
    assert done.returncode == 0, (words, done.stderr[-3000:].decode(errors="replace"))
    return done.stdout.decode().strip()


def docker_has(image: str) -> bool:
    command = ["docker", "image", "inspect", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def base(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The image that the recipe begins with: pulled, or where no registry is, made of Debian."""
    pull = subprocess.run(
        ["docker", "pull", "-q", BASE], capture_output=True, timeout=300, check=False
    )
    if pull.returncode == 0 or docker_has(BASE):
        return
    if shutil.which("mmdebstrap") is None:
        pytest.skip(f"{BASE} cannot be pulled, and mmdebstrap is not installed")
    folder = tmp_path_factory.mktemp("base")
    # Whom this machine trusts, the image trusts: pip inside goes the same way as outside.
    hook = folder / "hook"
    hook.write_text(
        "#!/bin/sh -e\n"
        'mkdir -p "$1/usr/local/share/ca-certificates"\n'
        "for one in /usr/local/share/ca-certificates/*.crt; do\n"
        '  if [ -e "$one" ]; then cp "$one" "$1/usr/local/share/ca-certificates/"; fi\n'
        "done\n"
        'chroot "$1" update-ca-certificates\n'
        'chroot "$1" ln -sf python3 /usr/bin/python\n'
    )
    hook.chmod(0o755)
    sources = [str(one) for one in Path("/etc/apt").rglob("*.sources")]
    sources += [str(one) for one in [Path("/etc/apt/sources.list")] if one.exists()]
    made = folder / "base.tar"
    run(
        *("mmdebstrap", "--variant=apt", "--mode=root", "--dpkgopt=force-unsafe-io"),
        *("--include=python3,python3-venv,ca-certificates", f"--customize-hook={hook}"),
        *("bookworm", str(made), *sources),
    )
    run("docker", "import", str(made), BASE)


def context(folder: Path, recipe: str) -> Path:
    """A copy of the project with the recipe in it, as a clone would be."""
    listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, run("git", "-C", str(ROOT), *listed).split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "Containerfile").write_text(recipe)
    return folder


@pytest.fixture(scope="module")
def served(base: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """A container's name, its server's URL and a key."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    # The engine of these tests has no networks of its own: the container uses the machine's.
    recipe = containerfile(["--port", port, "--host", "127.0.0.1"])
    clone = context(tmp_path_factory.mktemp("clone"), recipe)
    build = ["docker", "build", "--network", "host", "-t", IMAGE]
    run(*build, "-f", str(clone / "Containerfile"), str(clone), timeout=1800)
    keys = tmp_path_factory.mktemp("keys") / "keys"
    key = run(sys.executable, "-m", "paddock", "key", "new", "alice", "--file", str(keys))
    name = f"paddock-test-serve-{os.getpid()}"
    run(
        *("docker", "run", "-d", "--name", name, "--network", "host", "--user", str(os.getuid())),
        *("-v", f"{keys}:/etc/paddock/keys:ro", IMAGE),
    )
    try:
        yield name, f"http://127.0.0.1:{port}", key
    finally:
        run("docker", "rm", "-f", name)
        run("docker", "rmi", IMAGE)


def test_it_answers_and_a_stop_waits_for_what_was_accepted(served: tuple[str, str, str]) -> None:
    name, url, key = served
    wait(lambda: state(name)["Health"]["Status"] == "healthy", lambda: run("docker", "logs", name))
    body: dict[str, Any] = {"model": "demo", "prompt": "LLaMA is a", "max_tokens": 8}
    assert httpx.post(f"{url}/v1/completions", json=body).status_code == 401
    http = httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=300)
    reply = http.post(f"{url}/v1/completions", json=body)
    assert reply.status_code == 200 and reply.json()["choices"][0]["text"]
    # Long answers of which all must come whole though the container is told to stop meanwhile.
    long = {**body, "max_tokens": 900, "n": 8, "ignore_eos": True, "stream": True}
    ends: list[str] = []
    begun = threading.Semaphore(0)

    def client() -> None:
        with http.stream("POST", f"{url}/v1/completions", json=long) as stream:
            for number, line in enumerate(one for one in stream.iter_lines() if one):
                if number == 0:
                    begun.release()
                if line == "data: [DONE]":
                    ends.append(line)
                    return
                choices = json.loads(line.removeprefix("data: "))["choices"]
                ends.extend(one["finish_reason"] for one in choices if one["finish_reason"])

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    for _ in clients:
        assert begun.acquire(timeout=120)
    assert "data: [DONE]" not in ends, "the answers were too quick to be interrupted"
    run("docker", "stop", "-t", "240", name)
    for one in clients:
        one.join(60)
    assert sorted(ends) == ["data: [DONE]"] * 4 + ["length"] * 32
    assert state(name)["ExitCode"] == 0
    assert (
        "draining"
        in subprocess.run(
            ["docker", "logs", name], capture_output=True, text=True, check=True
        ).stderr
    )


def state(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("docker", "inspect", "-f", "{{json .State}}", name))
    return found


def wait(true: Any, why: Any, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(0.5)
