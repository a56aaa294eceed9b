"""A real conda, a channel with a real Python in it, and an installer used like the vendor's.

conda's own releases are not in the package index. conda-lock is, and carries all of conda (its
``_vendor`` folder): that is the program which runs here, started by a script of three lines. The
channel's packages are a Python and a pip that this machine has.
"""

from __future__ import annotations

import bz2
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import platformdirs
import pytest

from pythons import Python

VERSION = "24.7.1"
"""Of the conda in CARRIER."""

CARRIER = "conda-lock==4.0.3"
NEEDED = (
    *("archspec", "boltons", "charset-normalizer", "conda-package-handling", "distro"),
    *("frozendict", "jsonpatch", "packaging", "platformdirs", "pluggy", "pycosat", "requests"),
    *("ruamel.yaml", "setuptools<80", "tqdm", "truststore", "zstandard"),
)
"""What conda imports. conda-lock itself would bring far more."""

START = """\
import os, sys

# Looking for cards takes a process with a time limit, which a busy machine misses.
os.environ.setdefault("CONDA_OVERRIDE_CUDA", "")
from conda.cli import main
sys.exit(main())
"""


def packages() -> Path:
    """The folder with conda and what it needs, fetched once; skips where nothing can be."""
    name = hashlib.sha256("\n".join((CARRIER, *NEEDED, sys.version)).encode()).hexdigest()[:12]
    cache = Path(platformdirs.user_cache_path("paddock-tests", appauthor=False))
    folder = cache / f"conda-{name}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
            for words in ((*NEEDED,), ("--no-deps", CARRIER)):
                done = subprocess.run([*pip, *words], capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    pytest.skip(f"conda cannot be fetched here: {done.stderr.strip()[-300:]}")
            _unvendor(folder)
            (folder / "complete").touch()
    return folder


SETTINGS = b"""\
# No network but the channel's, and the solver that needs no package of conda's own.
solver: classic
notify_outdated_conda: false
report_errors: false
"""


def _unvendor(folder: Path) -> None:
    """Gives conda its own name back: of conda-lock itself nothing stays."""
    shutil.move(folder / "conda_lock/_vendor/conda", folder / "conda")
    for path in folder.glob("conda_lock*"):
        shutil.rmtree(path)
    for path in (folder / "conda").rglob("*.py"):
        text = re.sub(r"\bconda_lock\._?vendor\.conda\b", "conda", path.read_text())
        path.write_text(text)


INSTALLER = r"""#!/bin/bash
# A STAND-IN for an installer of conda: it takes the options of those that constructor makes, looks
# at its checksum and unpacks. It leaves a real conda; the Python below that is this machine's.
batch= update= prefix=$HOME/conda
while getopts "bfup:" option; do
  case $option in
    b) batch=yes ;;
    f | u) update=yes ;;
    p) prefix=$OPTARG ;;
    *) exit 2 ;;
  esac
done
[ -n "$batch" ] || { echo "nobody can be asked to accept the licence" >&2; exit 2; }
if [ -e "$prefix" ] && [ -z "$update" ]; then
  echo "ERROR: File or directory already exists: '$prefix'" >&2
  exit 1
fi
sum=$(tail -n +@LINES@ "$0" | sha256sum | cut -d' ' -f1)
[ "$sum" = @SHA256@ ] || { echo "ERROR: checksum of payload does not match" >&2; exit 1; }
set -e
'@PYTHON@' -m venv --without-pip "$prefix"
tail -n +@LINES@ "$0" | tar -xz -C "$prefix"
sed -i "s#@PREFIX@#$prefix#" "$prefix/bin/conda"
echo "installation finished."
exit 0
"""


def installer(file: Path) -> Path:
    """Writes the installer, about 25 MB."""
    library = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        tar.add(packages(), library)
        _put(tar, "bin/conda", f"#!@PREFIX@/bin/python\n{START}".encode(), 0o755)
        _put(tar, ".condarc", SETTINGS)
        record = {"name": "conda", "version": VERSION, "build": "0", "build_number": 0}
        record |= {"channel": "none", "subdir": "noarch", "fn": "conda", "depends": [], "files": []}
        for name in ("history", f"conda-{VERSION}-0.json"):
            text = json.dumps(record)
            _put(tar, f"conda-meta/{name}", b"" if name == "history" else text.encode())
    data = packed.getvalue()
    values = {
        "LINES": str(INSTALLER.count("\n") + 1),
        "SHA256": hashlib.sha256(data).hexdigest(),
        "PYTHON": os.path.realpath(sys.executable),
    }
    text = INSTALLER
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    file.write_bytes(text.encode() + data)
    return file


def _put(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def channel(folder: Path, python: Python) -> Path:
    """A channel with that Python for this machine's kind, and pip for any. Source of the format:
    https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
    """
    program = f"python{python.version}"
    files = dict(_files(python))
    links = {"bin/python": program, "bin/python3": program}
    index = {"name": "python", "version": python.full, "depends": []}
    _package(folder / _subdir(), index, files, links)
    pip = next((python.prefix / f"lib/{program}/ensurepip/_bundled").glob("pip-*.whl"))
    with zipfile.ZipFile(pip) as wheel:
        inside = {f"site-packages/{name}": wheel.read(name) for name in wheel.namelist()}
    index = {"name": "pip", "version": pip.name.split("-")[1], "depends": ["python"]}
    _package(folder / "noarch", {**index, "noarch": "python"}, inside, {})
    return folder


def _subdir() -> str:
    return {"aarch64": "linux-aarch64"}.get(os.uname().machine, "linux-64")


def _files(python: Python) -> Iterator[tuple[str, bytes]]:
    for name, source in python.files().items():
        for path in [source] if source.is_file() else sorted(source.rglob("*")):
            inner = path.relative_to(source)
            if path.is_file() and "__pycache__" not in inner.parts:
                yield str(Path(name.lstrip("/"), inner)), python.relocated(path)


def _package(
    folder: Path, index: Mapping[str, object], files: Mapping[str, bytes], links: Mapping[str, str]
) -> None:
    """One package and, since it is the only one there, the folder's repodata.json."""
    folder.mkdir(parents=True)
    about = {"build": "0", "build_number": 0, "subdir": folder.name, **index}
    listed = [
        {
            "_path": name,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        for name, data in files.items()
    ]
    listed += [{"_path": name, "path_type": "softlink"} for name in links]
    info: dict[str, object] = {
        "index.json": about,
        "paths.json": {"paths_version": 1, "paths": listed},
    }
    if index.get("noarch") == "python":
        entry = {"type": "python", "entry_points": ["pip = pip._internal.cli.main:main"]}
        info["link.json"] = {"package_metadata_version": 1, "noarch": entry}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, value in info.items():
            _put(tar, f"info/{name}", json.dumps(value).encode())
        _put(tar, "info/files", "".join(f"{name}\n" for name in (*files, *links)).encode())
        for name, data in files.items():
            _put(tar, name, data, 0o755 if name.startswith("bin/") else 0o644)
        for name, to in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, to
            tar.addfile(link)
    data = bz2.compress(packed.getvalue(), 1)
    file = f"{index['name']}-{index['version']}-0.tar.bz2"
    (folder / file).write_bytes(data)
    record = {
        **about,
        "md5": hashlib.md5(data).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }
    repodata = {"info": {"subdir": folder.name}, "packages": {file: record}, "packages.conda": {}}
    (folder / "repodata.json").write_text(json.dumps(repodata))
