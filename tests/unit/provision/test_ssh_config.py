"""The block for IDEs is what OpenSSH itself reads from it, and the known_hosts line as well."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from paddock.deploy.provision import sshconfig
from paddock.deploy.stackfile import HostEntry, SshWish, Stackfile
from paddock.errors import UsageError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3k0Yq2m6H6bU0X8mP3Xf1Wb7h4n2f6cQWm0o0Zq3xT root@x\n"
ONE = Stackfile(name="llama", ssh=SshWish(keys=(KEY,), users=("ada", "root")))
HERE = HostEntry(name="local")
FAR = HostEntry(name="npu1", address="ssh://bob@npu1.example.org:2222")
SIX = HostEntry(name="npu2", address="ssh://[fd00::2]")


def read_by_ssh(text: str, name: str, tmp_path: Path) -> dict[str, str]:
    if shutil.which("ssh") is None:
        pytest.skip("there is no ssh here")
    file = tmp_path / "config"
    file.write_text(text)
    words = ["ssh", "-G", "-F", str(file), name]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_this_machine(tmp_path: Path) -> None:
    read = read_by_ssh(sshconfig.block(ONE, HERE), "llama", tmp_path)
    assert (read["hostname"], read["port"], read["user"]) == ("127.0.0.1", "223", "ada")
    assert (read["serveraliveinterval"], read["serveralivecountmax"]) == ("30", "10")
    assert "proxyjump" not in read


def test_through_its_host(tmp_path: Path) -> None:
    fleet = Stackfile(name="lab", ssh=ONE.ssh, hosts=(FAR, SIX))
    text = sshconfig.block(fleet, FAR, identity="~/.ssh/id") + sshconfig.block(fleet, SIX)
    read = read_by_ssh(text, "lab-npu1", tmp_path)
    assert read["proxyjump"] == "bob@npu1.example.org:2222"
    assert read["identityfile"].endswith("/.ssh/id") and read["identitiesonly"] == "yes"
    assert read["hostkeyalias"] == "[lab-npu1]:223"
    assert read_by_ssh(text, "lab-npu2", tmp_path)["proxyjump"] == "[fd00::2]"


def test_the_key_is_found_under_its_alias(tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen here")
    file = tmp_path / "known_hosts"
    file.write_text(sshconfig.known_hosts(ONE, HERE, KEY))
    words = ["ssh-keygen", "-F", "[llama]:223", "-f", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "ssh-ed25519" in done.stdout


def test_without_a_server_there_is_nothing_to_print() -> None:
    with pytest.raises(UsageError, match="no ssh section"):
        sshconfig.block(Stackfile(), HERE)
