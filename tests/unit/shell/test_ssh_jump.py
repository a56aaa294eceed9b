"""The user's ssh configuration counts: an alias, and a machine that another one leads to."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from paddock.shell import SshRunner
from sshd import serving


def entry(name: str, server: SshRunner, *more: str) -> str:
    given = {"HostName": "127.0.0.1", "Port": str(server.port), "User": getpass.getuser()}
    lines = [f"  {key} {value}" for key, value in (given | dict(server.options)).items()]
    return "\n".join([f"Host {name}", *lines, *(f"  {one}" for one in more), ""])


def test_a_machine_behind_another(tmp_path: Path) -> None:
    with serving(tmp_path / "gate") as gate, serving(tmp_path / "inner") as inner:
        config = tmp_path / "config"
        config.write_text(entry("gate", gate) + entry("lab", inner, "ProxyJump gate"))
        # ssh reads ~/.ssh/config of the user database's home, whatever HOME says.
        tools = tmp_path / "bin"
        tools.mkdir()
        program = tools / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        program.chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-m", "paddock", "host", "--host", "ssh://lab", "--json"],
            env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["system"]["kernel"]
        for server in ("gate", "inner"):
            assert "Accepted publickey" in (tmp_path / server / "log").read_text(), server
