"""A host without what cannot be compared: versions in spellings that nobody published.

The catalogue and the resolver order versions; a file or a tool may print anything. What is left out
here still stands in the facts.
"""

from __future__ import annotations

import re
from dataclasses import replace

from paddock.deploy.catalog import Catalog
from paddock.deploy.catalog.versions import key
from paddock.deploy.host import Host
from paddock.errors import CatalogError


def readable(catalog: Catalog, component: str, version: str | None) -> bool:
    """Whether a version is one in its component's scheme."""
    if not version:
        return False
    try:
        key(version, catalog.component(component).scheme)
    except CatalogError:
        return False
    return True


def comparable(host: Host, catalog: Catalog) -> Host:
    """The host with every version that cannot be compared left out."""
    libc = host.system.libc_version
    system = replace(host.system, libc_version=libc if readable(catalog, "glibc", libc) else None)
    ascend, nvidia = host.ascend, host.nvidia
    if ascend is not None:
        smi = ascend.npu_smi
        if smi is not None and not readable(catalog, "driver", smi.driver_version):
            smi = replace(smi, driver_version=None)
        kept = (c for c in ascend.components if readable(catalog, "driver", c.version))
        ascend = replace(ascend, npu_smi=smi, components=tuple(kept))
    if nvidia is not None:
        number = re.compile(r"\d+\.\d+", re.ASCII)
        gpus = (
            gpu
            if number.fullmatch(gpu.compute_capability or "")
            else replace(gpu, compute_capability=None)
            for gpu in nvidia.gpus
        )
        nvidia = replace(nvidia, gpus=tuple(gpus))
    return replace(host, system=system, ascend=ascend, nvidia=nvidia)
