"""Debian packages in place of real ones: the names that a deployment asks for, and nothing inside.

Source of the format: deb(5) and the repository format of wiki.debian.org.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

VERSION = "0~paddock.rehearse"
"""Lower than any real version: a package that is there already stays."""


def repository(folder: Path, names: Iterable[str]) -> None:
    """``NAME.deb`` files for all names, and the ``Packages`` that makes the folder a source."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for name in sorted(set(names)):
        control = (
            f"Package: {name}\nVersion: {VERSION}\nArchitecture: all\n"
            "Maintainer: paddock rehearse <nobody@localhost>\n"
            "Description: a stand-in made by paddock rehearse, with nothing inside\n"
        )
        data = _deb(control)
        file = folder / f"{name}_{VERSION.replace('~', '-')}_all.deb"
        file.write_bytes(data)
        entries.append(
            f"{control}Filename: ./{file.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
    (folder / "Packages").write_text("\n".join(entries), encoding="utf-8")


def _deb(control: str) -> bytes:
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": control.encode()}),
        "data.tar.gz": _tar({}),
    }
    archive = b"!<arch>\n"
    for name, data in members.items():
        archive += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        archive += data + b"\n" * (len(data) % 2)
    return archive


def _tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        folder = tarfile.TarInfo("./")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()
