"""Throw-away SSH servers on the loopback interface, with keys of their own, for tests."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from paddock.shell import SshRunner

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def serving(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[SshRunner]:
    """The runner of a server whose sessions get ``environment``; skips where there is no sshd."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("openssh-server is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", "user"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    port = free_port()
    setting = " ".join(f'"{name}={value}"' for name, value in (environment or {}).items())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nMaxStartups 100\n"
        + (f"SetEnv {setting}\n" if setting else "")
    )
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its privilege separation folder
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log
        )
        try:
            _wait_for(port, process, folder / "log")
            yield SshRunner("127.0.0.1", getpass.getuser(), port, options=_options(folder, port))
        finally:
            process.terminate()
            process.wait(timeout=20)


def _options(folder: Path, port: int) -> dict[str, str]:
    kind, key, *_ = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    return {
        "IdentityFile": str(folder / "user"),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(folder / "known"),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
    }


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=60)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return int(probe_socket.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            pytest.skip(f"sshd does not start here: {log.read_text().strip()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail("sshd does not listen")
