"""A wheel of the Paddock that runs here, for a machine that has none: from its own files.

No build tool is needed, and a source tree, an editable and a plain installation give the same.
Source of the format: the binary distribution format of packaging.python.org (PEP 427).
"""

from __future__ import annotations

import base64
import hashlib
import platform
import sys
import zipfile
from importlib import metadata, resources
from pathlib import Path

from paddock._version import __version__
from paddock.errors import UsageError

_EPOCH = (2020, 1, 1, 0, 0, 0)
"""One date for all files: the same Paddock gives the same bytes."""


def build(folder: Path, *, arch: str) -> Path:
    """The wheel in ``folder``, for any Python 3, and for this machine if it has the kernels.

    Raises UsageError for a target of another architecture: kernels are compiled for one.
    """
    package = Path(str(resources.files("paddock")))
    compiled = sorted(p.name for p in package.rglob("*.so"))
    here = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    if compiled and arch and arch != here:
        raise UsageError(
            f"this Paddock has kernels for {here}, and the target is {arch}",
            hint=f"put a wheel of paddock {__version__} for {arch} into stack.artifacts",
        )
    tag = f"py3-none-linux_{here}" if compiled else "py3-none-any"
    info = f"paddock-{__version__}.dist-info"
    files = {
        f"paddock/{_name(path.relative_to(package))}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and path.suffix not in (".pyc", ".pyo")
    }
    files[f"{info}/METADATA"] = _metadata().encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: paddock\nRoot-Is-Purelib: {str(not compiled).lower()}\n"
        f"Tag: {tag}\n"
    ).encode()
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\npaddock = paddock.cli.main:main\n"
    record = "".join(f"{name},sha256={_hash(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / f"paddock-{__version__}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


def _name(path: Path) -> str:
    """The libraries are loaded by ctypes, so that no Python's own suffix needs to stay."""
    bare = path.name.partition(".")[0]
    return (path.with_name(f"{bare}.so") if path.suffix == ".so" else path).as_posix()


def _metadata() -> str:
    """What pip must know: as installed here, or as a source tree that was built in has it."""
    found = metadata.distribution("paddock")
    text = found.read_text("METADATA") or found.read_text("PKG-INFO")
    if text is None:
        raise UsageError(
            f"the Paddock in {sys.prefix} has no metadata, so no wheel can be made of it",
            hint="install it with pip first",
        )
    return text


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
