"""A real container engine, a base image and whole simulated hosts for the end-to-end tests.

``engine`` is Debian's dockerd with a data root, a socket and a process id of its own: it neither
needs nor touches an engine that runs here already. ``base_image`` is a small Debian made by
mmdebstrap from this machine's apt sources, kept between runs. ``site`` holds simulated hosts, each
with its own sshd, dockerd and cards. What is missing makes a test skip, with the reason.

Needs root and of Debian: docker.io iptables mmdebstrap gcc libc6-dev iproute2 openssh-server
openssh-client util-linux python3.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddock import settings
from paddock.deploy.rehearse import driver, image, needs, store
from paddock.deploy.rehearse.site import Site, remove_groups
from paddock.errors import RehearsalError
from paddock.shell import LocalRunner

IMAGE = "paddock-base:1"
"""The base image: Debian with Python (and venv), an SSH server, certificates, ip and ps."""


@dataclass(frozen=True)
class Engine:
    """A dockerd of the tests' own. ``network`` are words that run a program where its containers'
    published ports are: none if that is here. ``outside`` tells whether containers reach further.
    """

    socket: Path
    data_root: Path
    network: tuple[str, ...]
    outside: bool

    @property
    def host(self) -> str:
        """For DOCKER_HOST and the SDK's ``base_url``."""
        return f"unix://{self.socket}"

    def docker(self, *args: str, timeout: float = 120, stdin: str | None = None) -> str:
        """Runs the docker client; fails the test with its words if it fails."""
        done = subprocess.run(
            ["docker", "--host", self.host, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"docker {' '.join(args)}: {done.stderr}"
        return done.stdout.strip()


def cache() -> Path:
    """Where base images and prepared data roots are kept between runs."""
    return settings.load().home / "rehearse"


@pytest.fixture(scope="session")
def needs_root() -> None:
    """Skips where no host can be simulated, with all that is missing."""
    lacks = needs.missing(LocalRunner(), ascend=True, engine=False)
    if lacks:
        pytest.skip(f"no host can be simulated here: {'; '.join(lacks)}")


@pytest.fixture(scope="session")
def base_tar(needs_root: None) -> Path:
    """The base image's file system; half a minute the first time on a machine."""
    try:
        return image.build(cache() / "images")
    except RehearsalError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def images(base_tar: Path) -> Path:
    """A data root that holds the base image, for ``Site.add`` and ``engine``."""
    if shutil.which("dockerd") is None:
        pytest.skip("dockerd is not installed (Debian: docker.io)")
    try:
        return store.template({IMAGE: base_tar}, cache())
    except RehearsalError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    """The base image's name in ``engine`` and on simulated hosts."""
    return IMAGE


@pytest.fixture(scope="session")
def engine(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A dockerd that answers while this is in use, with the base image in it."""
    # In the images' folder, so that their layers can be links; short, for a socket's path.
    folder = images.parent / f"run-{os.getpid()}"
    folder.mkdir(mode=0o700)
    store.copy(images, folder / "data")
    for name in ("ascend-docker-runtime", "lowered"):
        (folder / name).write_text(driver.text("ascend-docker-runtime"))
        (folder / name).chmod(0o755)
    alone = not _another_engine()
    bridge = not alone or Path("/sys/class/net/docker0").exists()
    argv = [
        *("dockerd", "--host", f"unix://{folder}/s", "--pidfile", str(folder / "pid")),
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "x")),
        *("--add-runtime", f"ascend={folder}/ascend-docker-runtime"),
        # So that --privileged and high limits work where root lacks CAP_SYS_RESOURCE.
        *("--add-runtime", f"lowered={folder}/lowered", "--default-runtime", "lowered"),
        *("--cgroup-parent", f"/paddock-{folder.name}"),
    ]
    if not alone:  # two engines must not share a bridge and firewall rules
        argv = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *argv]
    log = (folder / "log").open("w+")
    daemon = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(folder / "s", daemon, folder / "log")
        network = () if alone else ("nsenter", "-t", str(daemon.pid), "-n")
        yield Engine(folder / "s", folder / "data", network, outside=alone)
    finally:
        _stop(daemon, folder)
        if not bridge:
            subprocess.run(["ip", "link", "del", "docker0"], capture_output=True, check=False)


def _another_engine() -> bool:
    """Whether a dockerd runs in this network namespace (those of simulated hosts do not)."""
    ours = Path("/proc/self/ns/net").readlink()
    found = subprocess.run(["pgrep", "-x", "dockerd"], capture_output=True, text=True, check=False)
    for pid in found.stdout.split():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/ns/net").readlink() == ours:
                return True
    return False


def _answers(socket: Path) -> bool:
    argv = ["docker", "--host", f"unix://{socket}", "version"]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0


def _wait_for(socket: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while not (socket.exists() and _answers(socket)):
        if daemon.poll() is not None or time.monotonic() > end:
            pytest.skip(f"dockerd does not start here: {log.read_text()[-800:]}")
        time.sleep(0.1)


def _stop(daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """Containers first: a dockerd that is stopped with some running leaves mounts behind."""
    if daemon.poll() is None:
        docker = ["docker", "--host", f"unix://{folder}/s"]
        ids = subprocess.run([*docker, "ps", "-aq"], capture_output=True, text=True, check=False)
        if ids.stdout.split():
            argv = [*docker, "rm", "-f", "-v", *ids.stdout.split()]
            subprocess.run(argv, capture_output=True, timeout=120, check=False)
        daemon.terminate()
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
    remove_groups(folder.name)
    remove = 'for f in "$1"/x/netns/*; do umount "$f"; done; rm -rf --one-file-system "$1"'
    subprocess.run(["sh", "-c", remove, "sh", str(folder)], capture_output=True, check=False)


@pytest.fixture
def site(images: Path) -> Iterator[Site]:
    """An empty site: ``site.add(model.load("atlas-800-9000"), "npu1", images=images)``."""
    try:
        with Site(images.parent / f"site-{os.getpid()}-{time.monotonic_ns() % 10**6}") as made:
            yield made
    except RehearsalError as error:
        if made_nothing(error):
            pytest.skip(str(error))
        raise


def made_nothing(error: RehearsalError) -> bool:
    """Whether it was about what this machine lacks."""
    return "missing:" in error.message


def run(argv: Sequence[str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """A program's output as text; nothing is checked."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
