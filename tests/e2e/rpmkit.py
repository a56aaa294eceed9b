"""Packages of rpm, a mirror that has them, and a system that is openEuler as far as dnf can tell.

Everything that works is real: rpmbuild, rpmsign, createrepo_c, dnf, rpm and their databases. The
packages hold a file each, and a whole Python where one is asked for.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from machines import Layered

from paddock.deploy.step import Machine

RELEASE = "openEuler-22.03-LTS-SP3"
SIGNER = "Tests of Paddock <tests@example.org>"
KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-openEuler"

OS_RELEASE = """\
NAME="openEuler"
VERSION="22.03 (LTS-SP3)"
ID="openEuler"
VERSION_ID="22.03"
PRETTY_NAME="openEuler 22.03 (LTS-SP3)"
"""

REPO = f"""\
[OS]
name=OS
baseurl=http://repo.openeuler.org/{RELEASE}/OS/$basearch/
metalink=https://mirrors.openeuler.org/metalink?repo=$releasever/OS&arch=$basearch
metadata_expire=1h
enabled=1
gpgcheck=1
gpgkey=http://repo.openeuler.org/{RELEASE}/OS/$basearch/RPM-GPG-KEY-openEuler
"""


@dataclass(frozen=True)
class Rpm:
    """A package: what it needs, what it merely recommends, and files of this machine by their place
    in it (folders whole); without any it has one small file of its own.
    """

    name: str
    version: str = "1.0"
    requires: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)


def needs() -> None:
    """Skips where this machine's packages lack the tools."""
    for program, package in (
        *(("dnf", "dnf"), ("rpmbuild", "rpm"), ("rpmsign", "rpm"), ("gpg", "gnupg")),
        *(("createrepo_c", "createrepo-c"),),
    ):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: {package})")


def spec(packages: Sequence[Rpm]) -> str:
    """A spec file that builds all of them at once."""
    lines = ["Name: paddock-tests", "Version: 1.0", "Release: 1", "License: none", "Summary: tests"]
    lines += ["%description", "tests"]
    install, files = [], []
    for each in packages:
        lines += [f"%package -n {each.name}", f"Version: {each.version}", "Summary: test"]
        lines += ["AutoReqProv: no"]
        lines += [f"Requires: {one}" for one in each.requires]
        lines += [f"Recommends: {one}" for one in each.recommends]
        lines += [f"Provides: {one}" for one in each.provides]
        lines += [f"%description -n {each.name}", "test"]
        own = f"/usr/share/paddock-tests/{each.name}"
        install += [f"install -D -m 644 /dev/null %{{buildroot}}{own}"]
        files += [f"%files -n {each.name}", own]
        for path, source in each.files.items():
            install += [f'mkdir -p "%{{buildroot}}{Path(path).parent}"']
            install += [f'cp -aL "{source}" "%{{buildroot}}{path}"']
            files += [path]
    return "\n".join([*lines, "%install", *install, *files]) + "\n"


def build(folder: Path, packages: Sequence[Rpm], home: Path | None) -> Path:
    """The packages as a repository with its metadata in ``folder``; signed with the key of the
    GnuPG folder ``home`` unless that is None.
    """
    work = folder / "work"
    work.mkdir(parents=True)
    (work / "tests.spec").write_text(spec(packages))
    _run(
        *("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {work}"),
        # No debug packages, no stripping, no search through what a Python imports.
        *("--define", "debug_package %{nil}", "--define", "__os_install_post %{nil}"),
        *("--define", "_build_id_links none", "--define", "_binary_payload w1.gzdio"),
        *("--define", f"_rpmdir {folder}/Packages"),
        str(work / "tests.spec"),
    )
    shutil.rmtree(work)
    made = [str(path) for path in folder.rglob("*.rpm")]
    if home is not None:
        sign = ("--define", f"_gpg_name {SIGNER}", "--define", f"_gpg_path {home}")
        sign += ("--define", f"__gpg {shutil.which('gpg')}")
        _run("rpmsign", *sign, "--addsign", *made, home=home)
    _run("createrepo_c", "--quiet", "--no-database", str(folder))
    return folder


def key(home: Path) -> str:
    """Makes a key that signs packages in ``home``; its public half as text."""
    home.mkdir(mode=0o700)
    make = ("--batch", "--passphrase", "", "--quick-generate-key", SIGNER, "rsa2048", "sign", "0")
    _run("gpg", "--homedir", str(home), *make, home=home)
    return _run("gpg", "--homedir", str(home), "--armor", "--export", SIGNER, home=home)


def _run(*words: str, home: Path | None = None) -> str:
    # An agent of gpg's listens in the home folder, whose path must be short; it is told to end.
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (words, done.stderr[-2000:])
    if home is not None:
        end = ["gpgconf", "--homedir", str(home), "--kill", "all"]
        subprocess.run(end, capture_output=True, timeout=60, check=False)
    return done.stdout


def become(layer: Layered, folder: str, released: Path, public: str) -> Machine:
    """Makes the layer an openEuler: no apt, its release, its repository, its key. ``released`` is
    the package that tells dnf the release.
    """
    machine = Machine(layer, folder)
    gone = "rm -f /usr/bin/apt-get /usr/bin/apt /etc/os-release; rm -rf /etc/yum.repos.d/*"
    assert machine.sh(gone).ok
    machine.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")  # Debian's is in a home
    machine.write("/etc/os-release", OS_RELEASE)
    machine.write("/etc/yum.repos.d/openEuler.repo", REPO)
    machine.write(KEY, public)
    machine.send(released, "/root/release.rpm")
    done = machine.sh(
        "rpm --initdb && rpm -i --force-debian /root/release.rpm; rm /root/release.rpm"
    )
    assert machine.run(["rpm", "-q", "openEuler-release"]).ok, done
    return machine
