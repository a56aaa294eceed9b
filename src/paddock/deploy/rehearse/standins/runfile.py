"""Self-extracting ``.run`` files in place of the vendor's: the same options, checks and traces."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from paddock.deploy.rehearse.driver import text


def write(path: Path, part: str, version: str, chip: str, files: Mapping[str, bytes]) -> None:
    """A stand-in for a package of CANN.

    ``part`` is ``cann`` (the toolkit), ``kernels`` or ``nnal``; ``chip`` counts for kernels
    (``910b``). ``files`` are unpacked into the version's folder.
    """
    payload = _packed(files)
    inner, compatible = _family(version)
    header = text("installer.sh")
    values = {
        "FILE": path.name,
        "PART": part,
        "VERSION": version,
        "INNER": inner,
        "COMPATIBLE": compatible,
        "CHIP": chip,
        "SHA256": hashlib.sha256(payload).hexdigest(),
        "LINES": str(header.count("\n") + 1),
    }
    for name, value in values.items():
        header = header.replace(f"@{name}@", value)
    path.write_bytes(header.encode() + payload)
    path.chmod(0o755)


def _family(version: str) -> tuple[str, str]:
    """An ``innerversion`` and ``compatible_version`` of that release, from the catalogue where it
    knows them; else one family that fits itself alone.
    """
    from paddock.deploy import catalog

    release = catalog.load().release("cann", version)
    if release is not None and "inner" in release.facts:
        families = (f"[{name}]" for name in release.facts.get("compatible", "").split())
        return release.facts["inner"], ",".join(families)
    return "V100R001C00SPC000B000", "[V100R001C00]"


def _packed(files: Mapping[str, bytes]) -> bytes:
    """A reproducible tar.gz."""
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()
