"""Stand-ins behave as the vendors' packages do, as far as a deployment can see."""

from __future__ import annotations

import subprocess
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import cast

import pytest

from paddock.deploy.rehearse.standins import deb, runfile, wheel


def call(package: Path, *words: str, user: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs an installer on a machine that has the user HwHiAiUser, or has not."""
    tools = package.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "id").write_text(f"#!/bin/sh\nexit {0 if user else 1}\n")
    (tools / "id").chmod(0o755)
    argv = ["env", f"PATH={tools}:/usr/bin:/bin", "sh", str(package), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    path = tmp_path / "Ascend-cann-toolkit_8.0.0_linux-x86_64.run"
    inside = {"wheels/te-0.4.0-py3-none-any.whl": b"te", "README": b"a stand-in"}
    runfile.write(path, "cann", "8.0.0", "910b", inside)
    return path


def test_an_installer_checks_itself(toolkit: Path) -> None:
    done = call(toolkit, "--check")
    assert (done.returncode, "All good." in done.stdout) == (0, True)
    damaged = bytearray(toolkit.read_bytes())
    damaged[-1] ^= 1
    toolkit.write_bytes(damaged)
    done = call(toolkit, "--install", "--quiet")
    assert (done.returncode, "is different from" in done.stderr) == (2, True)
    toolkit.write_bytes(damaged[:-20])
    assert call(toolkit, "--check").returncode == 2


@pytest.mark.parametrize("words", [["--instal"], ["--install", "--force"], ["quiet"]])
def test_an_unknown_option_is_refused(toolkit: Path, words: list[str]) -> None:
    done = call(toolkit, *words)
    assert done.returncode == 1
    assert "Unrecognized parameters" in done.stdout


def test_nothing_is_done_unasked(toolkit: Path) -> None:
    assert call(toolkit).returncode == 1
    assert call(toolkit, "--version").stdout == "8.0.0\n"


def test_the_toolkit_is_installed_and_taken_away(toolkit: Path, tmp_path: Path) -> None:
    root = tmp_path / "Ascend"
    place = f"--install-path={root}"
    assert "HwHiAiUser" in call(toolkit, "--install", place, user=False).stdout
    assert not root.exists()
    done = call(toolkit, "--install", "--quiet", place)
    assert done.returncode == 0, done.stdout + done.stderr
    latest = root / "ascend-toolkit" / "latest"
    info = next(latest.glob("*-linux/ascend_toolkit_install.info")).read_text()
    assert "version=8.0.0\ninnerversion=V100R001C20SPC001B251\n" in info
    assert "[V100R001C15],[V100R001C17]" in info
    assert (latest / "lib64" / "te-0.4.0-py3-none-any.whl").read_bytes() == b"te"
    assert (root / "ascend-toolkit" / "set_env.sh").exists()
    kernels = tmp_path / "kernels.run"
    runfile.write(kernels, "kernels", "8.0.0", "910b", {"README": b""})
    assert call(kernels, "--install", place).returncode == 0
    assert "version_dir=8.0.0" in (latest / "opp_kernel" / "version.info").read_text()
    away = ["bash", str(latest / "opp_kernel" / "script" / "uninstall.sh")]
    subprocess.run(away, check=True, capture_output=True)
    assert not (latest / "opp_kernel").exists()
    subprocess.run(["bash", str(latest / "cann_uninstall.sh")], check=True, capture_output=True)
    assert not root.exists()


def test_kernels_want_their_toolkit_first(tmp_path: Path) -> None:
    kernels = tmp_path / "kernels.run"
    runfile.write(kernels, "kernels", "8.0.0", "910b", {})
    done = call(kernels, "--install", f"--install-path={tmp_path / 'Ascend'}")
    assert (done.returncode, "is not installed" in done.stdout) == (1, True)


def test_from_8_5_on_the_layout_is_the_new_one(tmp_path: Path) -> None:
    package, root = tmp_path / "toolkit.run", tmp_path / "Ascend"
    runfile.write(package, "cann", "9.0.0", "910b", {"wheels/te-0.4.0-py3-none-any.whl": b""})
    assert call(package, "--install", f"--install-path={root}").returncode == 0
    assert (root / "cann").readlink() == root / "cann-9.0.0"
    assert (root / "cann" / "set_env.sh").exists()


def test_wheels_are_what_their_names_say(tmp_path: Path) -> None:
    path = wheel.for_file(tmp_path, "mindspore-2.9.0-cp311-cp311-linux_x86_64.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "site")
    info = tmp_path / "site" / "mindspore-2.9.0.dist-info"
    found = PathDistribution(info)
    assert (found.metadata["Name"], found.version) == ("mindspore", "2.9.0")
    assert "stand-in" in cast(str, found.metadata["Summary"])
    assert "Tag: cp311-cp311-linux_x86_64" in (info / "WHEEL").read_text()
    assert "stand-in" in (tmp_path / "site" / "mindspore" / "__init__.py").read_text()


def test_debian_packages_are_packages(tmp_path: Path) -> None:
    deb.repository(tmp_path, ["gcc", "curl", "gcc"])
    index = (tmp_path / "Packages").read_text()
    assert index.count("Package: ") == 2
    file = next(tmp_path.glob("gcc_*.deb"))
    try:
        said = subprocess.run(["dpkg-deb", "--field", str(file), "Package"], capture_output=True)
    except FileNotFoundError:
        pytest.skip("no dpkg-deb here")
    assert said.stdout == b"gcc\n"
