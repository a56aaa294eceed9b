"""probe.sh changes nothing, runs in every POSIX shell, and is what shellcheck calls clean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from paddock.deploy.host import frames, probe

WRITES = (
    "creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat,chown,"
    "fchown,lchown,fchownat,mknod,mknodat,link,linkat,symlink,symlinkat,truncate,ftruncate,utime,"
    "utimes,utimensat,mount,umount2,setxattr,reboot,init_module,finit_module,delete_module"
)


def shells() -> list[list[str]]:
    found = [[name] for name in ("dash", "bash", "ksh", "zsh") if shutil.which(name)]
    return found + ([["busybox", "sh"]] if shutil.which("busybox") else [])


@pytest.mark.parametrize("shell", shells(), ids=" ".join)
def test_every_shell_gives_the_same_answer(shell: list[str]) -> None:
    reference = frames.parse(_answer(["sh", "-s", "--", "thorough"]))
    answer = frames.parse(_answer([*shell, "-s", "--", "thorough"]))
    assert answer.notes == ()
    assert [f.name for f in answer.frames] == [f.name for f in reference.frames]
    same = (
        "file /etc/os-release",
        "uname -snrm",
        "user",
        "libraries",
        "mounts",
        "pci",
        "pip files",
    )
    for name in same:
        assert answer.get(name) == reference.get(name)


def _answer(argv: list[str]) -> bytes:
    done = subprocess.run(
        ["env", "LC_ALL=C", *argv], input=probe.script().encode(), capture_output=True, timeout=120,
        check=True,
    )  # fmt: skip
    assert done.stderr == b""
    return done.stdout


def test_no_system_call_changes_anything(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "calls"
    calls = f"trace=open,openat,openat2,{WRITES}"
    try:
        _answer([strace, "-f", "-qq", "-o", str(log), "-e", calls, "sh", "-s", "--", "thorough"])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"strace may not trace here: {error.stderr.decode().strip()}")
    lines = [line.split(maxsplit=1)[1] for line in log.read_text(errors="replace").splitlines()]
    opened = [line for line in lines if line.startswith("open")]
    assert len(opened) > 100
    writing = [
        line
        for line in opened
        if re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)", line)
        and not re.search(r'"/dev/(null|tty)"', line)
    ]
    assert writing == []
    assert [line for line in lines if re.match(rf"({WRITES.replace(',', '|')})\(", line)] == []


def test_a_home_folder_stays_as_it_was(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://x.org/simple\n"
    )
    (home / ".bashrc").write_text("touch ran-the-users-startup-file\n")
    before = {p: p.stat().st_mtime_ns for p in [home, *home.rglob("*")]}
    done = subprocess.run(
        ["sh", "-s", "--", "thorough"],
        input=probe.script().encode(),
        capture_output=True,
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        timeout=120,
        check=True,
    )
    assert b"https://x.org/simple" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in [home, *home.rglob("*")]} == before


def test_half_a_script_runs_nothing() -> None:
    text = probe.script()
    for part in (0.3, 0.6, 0.95):
        half = text[: int(len(text) * part)]
        done = subprocess.run(
            ["sh", "-s"], input=half.encode(), capture_output=True, timeout=60, check=False
        )
        assert done.stdout == b""


def test_redirections_lead_nowhere() -> None:
    """By reading the program too: it writes into no file."""
    shell_only = re.sub(r"\nlook='.*?\n'\n", "\n", probe.script(), flags=re.DOTALL)
    assert "import os, sys" in probe.script()
    assert "import os, sys" not in shell_only
    for line in shell_only.splitlines():
        code = re.sub(r"^\s*#.*|'[^']*'|\"[^\"]*\"", "", line)
        for target in re.findall(r"(?<![<&\d\-])\d?>>?\s*([^\s;)|&]+)", code):
            assert target == "/dev/null", line


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        [shellcheck, "-s", "sh", "-"],
        input=probe.script(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
