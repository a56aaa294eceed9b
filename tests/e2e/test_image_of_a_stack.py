"""The image that a stack file's recipe makes: built by a real Docker, run, and deployed onto."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import sshd
from engine import Engine

pytestmark = pytest.mark.e2e

BUILT = "paddock-test-stack:1"
ROOT = Path(__file__).parents[2]


class Desk:
    """A folder with a stack file, and the command line that acts on this machine's test engine."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DOCKER_HOST": engine.host,
            "PADDOCK_STATE": str(folder / "state"),
            "PYTHONPATH": str(ROOT / "src"),
            "LANG": "C.UTF-8",
        }

    def write(self, image: str, **values: Any) -> None:
        container = {"engine": "docker", "name": "built", "image": image, "network": "host"}
        stack = {"framework": "paddock"}
        whole = {"name": "built", "container": container, "stack": stack, **values}
        (self.folder / "paddock.yaml").write_text(yaml.safe_dump(whole))

    def paddock(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "paddock", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def planned(self) -> list[str]:
        """The steps that are not right yet."""
        (host,) = json.loads(self.paddock("plan", "--json"))["hosts"]
        return [step["id"] for step in host["steps"] if step["status"] != "right"]

    def build(self) -> None:
        """What the recipe's own head says, with the network that a proxied machine has."""
        recipe = (self.folder / "Containerfile").read_text()
        assert "\n#   docker build -t built -f Containerfile .\n" in recipe.replace(
            "    # ", "\n# "
        )
        self.engine.docker(
            *("build", "--network", "host", "-t", BUILT),
            *("-f", str(self.folder / "Containerfile"), str(self.folder)),
            timeout=1800,
        )

    def inside(self, *words: str) -> str:
        return self.engine.docker("exec", "built", *words)


@pytest.fixture
def desk(tmp_path: Path, engine: Engine, base_image: str) -> Iterator[Desk]:
    made = Desk(tmp_path, engine)
    yield made
    for words in (("rm", "-f", "built"), ("rmi", "-f", BUILT)):
        with contextlib.suppress(AssertionError):
            engine.docker(*words)


def test_an_image_without_a_server(desk: Desk, base_image: str) -> None:
    key = desk.folder / "key"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(make, check=True, timeout=60)
    values: dict[str, Any] = {
        "ssh": {"port": sshd.free_port(), "keys": [str(key.with_suffix(".pub"))]},
        "serve": {"enabled": False},
    }
    desk.write(base_image, **values)
    recipe = desk.paddock("export", "containerfile", "-f", "paddock.yaml")
    assert "#   docker build -t built - < Containerfile" in recipe
    desk.engine.docker("build", "-t", BUILT, "-", stdin=recipe, timeout=600)
    desk.write(BUILT, **values)
    first = desk.planned()
    assert "container.run" in first
    desk.paddock("up", "--yes", "--no-verify")
    # What the recipe has brought is in it: up adds what runs, and keys that no image may hold.
    done = {path.name for path in (desk.folder / "state/built/target/jobs").glob("*.apply")}
    assert not done & {"ssh.packages.apply"}, done
    assert desk.inside("cat", "/etc/ssh/paddock/sshd_config").startswith("# Written by Paddock")
    assert desk.planned() == []
    assert desk.paddock("up", "--yes").splitlines()[0] == "nothing to change"
    desk.paddock("down", "--yes")
    assert desk.engine.docker("ps", "-aq", "--filter", "name=built") == ""
    assert desk.engine.docker("images", "-q", BUILT), "the image was there before, and stays"


@pytest.mark.slow
def test_an_image_with_a_server(desk: Desk, base_image: str) -> None:
    if not desk.engine.outside:
        pytest.skip("containers of this engine reach no package index")
    port = sshd.free_port()
    desk.write(base_image, serve={"port": port})
    desk.paddock("export", "containerfile", "-f", "paddock.yaml", "-o", "Containerfile")
    assert list(desk.folder.glob("paddock-*.whl")), "the wheel lies beside the recipe"
    desk.build()

    # As it is, by its own command.
    desk.engine.docker("run", "-d", "--name", "built", "--network", "host", BUILT)
    _answers(port)
    desk.engine.docker("rm", "-f", "built")

    # As the image of a deployment.
    desk.write(BUILT, serve={"port": port})
    desk.paddock("up", "--yes")
    _answers(port)
    assert desk.paddock("up", "--yes").splitlines()[0] == "nothing to change"
    desk.paddock("down", "--yes")
    assert desk.engine.docker("ps", "-aq", "--filter", "name=built") == ""


def _answers(port: int) -> None:
    body = {"model": "demo", "prompt": "LLaMA is a", "max_tokens": 8}
    head = {"Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}/v1/completions"
    end = time.monotonic() + 180
    while True:
        try:
            request = urllib.request.Request(url, json.dumps(body).encode(), head)
            with urllib.request.urlopen(request, timeout=60) as reply:
                assert json.load(reply)["choices"][0]["text"]
                return
        except OSError:
            assert time.monotonic() < end, "the server in the image does not answer"
            time.sleep(0.5)
