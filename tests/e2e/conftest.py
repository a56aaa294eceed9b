"""A real Docker engine for the end-to-end tests: the one that answers, or one of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def docker_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """``docker`` answers while this is in use; skips, with the reason, where it cannot."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    if _answers():
        yield
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("docker does not answer, and only root can start an engine")
    # A socket's path may have 107 characters.
    folder = tmp_path_factory.mktemp("docker")
    socket = f"unix://{folder}/d.sock"
    log = (folder / "log").open("w+")
    engine = subprocess.Popen(
        [
            *("dockerd", "--host", socket, "--pidfile", str(folder / "pid")),
            *("--data-root", str(folder / "data"), "--exec-root", str(folder / "run")),
            # No networks: the tests' containers have none, and the host's rules stay as they are.
            *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
        ],
        stdout=log,
        stderr=log,
    )
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = socket
    try:
        end = time.monotonic() + 60
        while not _answers():
            if engine.poll() is not None or time.monotonic() > end:
                log.seek(0)
                pytest.skip(f"dockerd does not start here: {log.read()[-500:]}")
            time.sleep(0.2)
        yield
    finally:
        engine.terminate()
        engine.wait(60)
        if before is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = before


def _answers() -> bool:
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False)
    except OSError:
        return False
    return done.returncode == 0
