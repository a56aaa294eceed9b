"""Wheels in place of real ones: the same name, version and tags, a module that knows it is none.

Source of the format: PEP 427, and PEP 503 for the folding of names.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from paddock.deploy.rehearse.driver import text

MODULES = {"attrs": "attr", "pyyaml": "yaml", "absl-py": "absl", "protobuf": "google_protobuf"}
"""Import names that are not the distribution's own."""

PROGRAMMED = ("mindspore", "torch", "torch_npu")
"""Those whose modules do something: they ask the driver's library for the chips."""


def for_file(folder: Path, name: str) -> Path:
    """A stand-in for the wheel of that file name (``mindspore-2.9.0-cp311-cp311-linux_x86_64``)."""
    distribution, version, *tags = name.removesuffix(".whl").split("-")
    return write(folder, distribution, version, "-".join(tags[-3:]))


def write(folder: Path, distribution: str, version: str, tag: str = "py3-none-any") -> Path:
    """A stand-in for a distribution; gives its path."""
    name = distribution.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    module = MODULES.get(distribution.lower(), name.lower())
    files = {
        f"{module}/__init__.py": _module(module, version),
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
            "Summary: A stand-in made by paddock rehearse; not the real distribution.\n"
        ),
        f"{info}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: paddock rehearse\nRoot-Is-Purelib: true\n"
            + "".join(f"Tag: {one}\n" for one in _tags(tag))
        ),
    }
    path = folder / f"{name}-{version}-{tag}.whl"
    path.write_bytes(_zipped(files, f"{info}/RECORD"))
    return path


def data(distribution: str, version: str, folder: Path) -> bytes:
    """The same as bytes; ``folder`` is used in between."""
    path = write(folder, distribution, version)
    content = path.read_bytes()
    path.unlink()
    return content


def _tags(tag: str) -> list[str]:
    python, abi, platforms = tag.split("-")
    return [f"{python}-{abi}-{platform}" for platform in platforms.split(".")]


def _module(module: str, version: str) -> str:
    head = f'"""A stand-in made by paddock rehearse; not the real {module}."""\n\n'
    body = text(f"modules/{module}.py.in") if module in PROGRAMMED else ""
    return f"{head}__version__ = {version!r}\n{body}"


def _zipped(files: Mapping[str, str], record: str) -> bytes:
    import io

    stream = io.BytesIO()
    lines = []
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest())
            lines.append(f"{name},sha256={digest.rstrip(b'=').decode()},{len(content.encode())}\n")
        archive.writestr(
            zipfile.ZipInfo(record, (2020, 1, 1, 0, 0, 0)), "".join([*lines, f"{record},,\n"])
        )
    return stream.getvalue()
