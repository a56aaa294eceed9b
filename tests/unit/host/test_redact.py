"""What is taken out before a machine is shown to others, and what stays."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.deploy.host import probe, recording
from paddock.deploy.host.frames import Frame
from paddock.deploy.host.redact import Mask, credentials

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:secret@x.org/simple", "https://***@x.org/simple"),
        ("http://token@x.org", "http://***@x.org"),
        ("https://x.org/simple?token=abc&page=2", "https://x.org/simple?token=***&page=2"),
        ("https://x.org/?X-Amz-Signature=abc", "https://x.org/?X-Amz-Signature=***"),
        ('"httpProxy": "http://u:p@proxy:3128"', '"httpProxy": "http://***@proxy:3128"'),
        ("https://x.org/simple", "https://x.org/simple"),
        ("me@x.org", "me@x.org"),
        ("a//b@c", "a//b@c"),
    ],
)
def test_credentials(text: str, clean: str) -> None:
    assert credentials(text) == clean


def masked(*frames: Frame) -> dict[str, str]:
    known = (
        Frame("uname -snrm", "Linux npu-node-7 5.10 aarch64"),
        Frame("user", "name=zhang\nuid=1000"),
    )
    return {frame.name: frame.text for frame in Mask([*known, *frames]).frames()}


def test_names_of_host_and_user() -> None:
    text = masked(
        Frame("python /home/zhang/venv/bin/python3", "prefix=/home/zhang/venv"),
        Frame("docker containers", "container /npu-node-7-web\nimage zhang/web"),
    )
    assert text["uname -snrm"] == "Linux host 5.10 aarch64"
    assert text["python /home/user/venv/bin/python3"] == "prefix=/home/user/venv"
    assert "image user/web" in text["docker containers"]


def test_addresses_each_by_the_same_stand_in() -> None:
    text = masked(
        Frame(
            "file /etc/hccn.conf", "address_0=10.20.0.1\naddress_1=10.20.0.2\nnetmask_0=255.255.0.0"
        ),
        Frame("hccn_tool -i 1 -ip -g", "ipaddr:10.20.0.2\nnetmask:255.255.0.0"),
        Frame(
            "interfaces", "1: lo inet 127.0.0.1/8\n2: eth0 inet6 fe80::1/64 brd 02:42:ac:11:00:02"
        ),
    )
    assert text["file /etc/hccn.conf"] == (
        "address_0=192.0.2.1\naddress_1=192.0.2.2\nnetmask_0=255.255.0.0"
    )
    assert "ipaddr:192.0.2.2" in text["hccn_tool -i 1 -ip -g"]
    assert text["interfaces"] == (
        "1: lo inet 127.0.0.1/8\n2: eth0 inet6 2001:db8::3/64 brd 02:00:00:00:00:00"
    )


def test_versions_and_pci_addresses_are_no_addresses() -> None:
    version = Frame("file /usr/local/Ascend/driver/version.info", "Version=24.1.0.1\nx=7.7.0.1.231")
    table = Frame("npu-smi info", "| 0 | 0000:C1:00.0 | npu-smi 24.1.0.1 |")
    text = masked(version, table)
    assert text[version.name] == version.text
    assert text[table.name] == table.text


def test_serial_numbers_and_uuids() -> None:
    board = "\tSerial Number                  : 1025C9048791\n\tVDie ID : 42C711D4 20B03704\n"
    text = masked(
        Frame("npu-smi info -t board -i 0", board),
        Frame("nvidia-smi --query-gpu=uuid", "GPU-1a2b3c4d-aaaa-bbbb-cccc-1234567890ab"),
    )
    assert "1025C9048791" not in text["npu-smi info -t board -i 0"]
    assert "Serial Number                  : 000000000000" in text["npu-smi info -t board -i 0"]
    assert "VDie ID : 00000000 00000000" in text["npu-smi info -t board -i 0"]
    assert text["nvidia-smi --query-gpu=uuid"] == "GPU-00000000-0000-0000-0000-000000000000"


def test_ports_keep_here_alone_or_everywhere() -> None:
    lines = "   0: 0100007F:1F90 00000000:0000 0A x\n   1: 0500000A:0016 00000000:0000 0A x"
    assert masked(Frame("listening", lines))["listening"] == (
        "   0: 0100007F:1F90 00000000:0000 0A x\n   1: 00000000:0016 00000000:0000 0A x"
    )


def test_record_host_makes_a_folder_that_the_tests_would_run(tmp_path: Path) -> None:
    def record(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "scripts" / "record-host", name, "--into", tmp_path],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | {"https_proxy": "http://me:secret@proxy.example.org:3128"},
        )

    done = record("this-machine")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "this-machine"
    text = (folder / "answer.txt").read_text()
    assert "secret" not in text
    assert f"Linux {platform.node()} " not in text
    expected = json.loads((folder / "expected.json").read_text())
    facts = probe.read(recording.load(folder))
    assert json.loads(facts.to_json())["system"] == expected["system"]
    assert facts.system.kernel == platform.release()
    # A recording's clock is not wrong because time went on.
    assert facts.clock.host is not None
    assert (facts.clock.reader, facts.clock.skew) == (None, None)
    assert record("this-machine").returncode == 2
    assert record("Not a name").returncode == 2
