"""Versions of the Ascend software from its own files: driver, firmware, CANN, NNAL, MindIE.

Every part writes its version into a file of its own, in forms that differ; one that CANN's
installers leave is read for the families that the pairing rule compares. ``latest`` is a link or a
folder of links, so parts are told apart by where their files really lie.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from paddock.deploy.host.facts import Component, Install, Note, PlatformConfig
from paddock.deploy.host.frames import Answer, Frame
from paddock.deploy.host.values import pairs, whole

_ACTIVE = re.compile(r"/(?:latest|cann)/")


def components(
    answer: Answer, environment: dict[str, str], notes: list[Note]
) -> tuple[Component, ...]:
    """Everything installed, each once; what is in use (``latest``, the environment) first."""
    homes = [
        environment[name] + "/"
        for name in ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "ATB_HOME_PATH")
        if environment.get(name)
    ]
    found: dict[tuple[str, str], Component] = {}
    for frame in answer.files():
        kind = _kind(frame.path)
        if kind is None:
            continue
        if frame.exit_code != 0:
            last = frame.lines[-1] if frame.lines else f"exit code {frame.exit_code}"
            notes.append(Note(frame.path, f"version of the {kind}", last))
            continue
        key = (kind, _root(kind, frame.real_path))
        active = bool(_ACTIVE.search(frame.path)) or any(map(frame.path.startswith, homes))
        known = found.get(key, Component(kind, frame.real_path))
        found[key] = replace(
            _read(frame, known),
            active=known.active or active or kind in ("driver", "firmware"),
        )
    installed = [_check(_with_socs(component, answer), notes) for component in found.values()]
    return tuple(sorted(installed, key=lambda component: not component.active))


def _kind(path: str) -> str | None:
    """Which part a version file belongs to; None for other files."""
    name, folder = PurePosixPath(path).name, PurePosixPath(path).parent.name
    if match := re.fullmatch(r"ascend_(toolkit|nnae|nnrt|cann)_install\.info", name):
        return "toolkit" if match[1] == "cann" else match[1]
    if name == "version.cfg" and re.search(r"/(?:ascend-toolkit/|cann|latest)", path):
        return "toolkit"
    if name != "version.info":
        return None
    if folder in ("driver", "firmware", "toolkit"):
        return folder
    if folder in ("opp_kernel", "ops", "opp_kernels"):
        return "kernels"
    if "/nnal/" in path:
        return "nnal"
    return "mindie" if "/mindie/" in path else None


def _root(kind: str, real: str) -> str:
    """The folder that all files of one installation of a part share."""
    path = PurePosixPath(real)
    if kind in ("driver", "firmware", "nnal", "mindie") or path.name == "version.cfg":
        return str(path.parent)
    if "/share/info/" in real:
        return real.partition("/share/info/")[0]
    return str(path.parent.parent)


def _read(frame: Frame, known: Component) -> Component:
    """The component with what one more of its files says; what is known already stays."""
    if not frame.text.strip():
        return known  # a link to a file that was read before
    if known.kind == "nnal":
        version = pairs(frame.text, ":").get("Ascend-cann-atb")
        found = replace(known, version=known.version or version or None)
    elif known.kind == "mindie":
        version = (
            (pairs(frame.text, ":").get("Ascend-mindie") or "").removeprefix("MindIE ").strip()
        )
        found = replace(known, version=known.version or version or None)
    else:
        found = _key_values(frame, known)
    if found.modified is None:
        found = replace(found, modified=frame.modified)
    return found


def _key_values(frame: Frame, known: Component) -> Component:
    """``Version=``, ``version=`` and ``package_version=`` mean different things in each file."""
    table = {key.lower(): value.strip('"') for key, value in pairs(frame.text).items()}
    number = release = None
    if frame.path.endswith("version.cfg"):
        # toolkit_running_version=[7.6.0.1.220:8.0.0]: the dotted number, then the release.
        match = re.search(
            r"^toolkit_running_version=\[([^:\]]+):([^\]]+)\]", frame.text, re.MULTILINE
        )
        number, release = (match[1], match[2].removeprefix("CANN-")) if match else (None, None)
    elif known.kind == "driver":
        release = table.get("package_version") or table.get("version")
    elif known.kind == "firmware":
        release, number = table.get("version"), table.get("package_version")
    elif frame.path.endswith("_install.info"):
        release = table.get("version")
    else:
        number, release = table.get("version"), table.get("version_dir")
    required = {
        key.removeprefix("required_package_").removesuffix("_version"): value
        for key, value in table.items()
        if key.startswith("required_package_") and value
    }
    return replace(
        known,
        version=known.version or release or None,
        number=known.number or number or None,
        inner_version=known.inner_version or _inner(table.get("innerversion", "")),
        compatible=known.compatible or _families(table.get("compatible_version", "")),
        compatible_firmware=known.compatible_firmware or table.get("compatible_version_fw") or None,
        compatible_driver=known.compatible_driver or table.get("compatible_version_drv") or None,
        requires=known.requires or required,
        arch=known.arch or table.get("arch") or None,
    )


_FAMILY = r"V\d{3}R\d{3}C\d{2,3}"


def _inner(text: str) -> str | None:
    """``V100R001C21SPC002B220``; None for what is not whole."""
    return text if re.fullmatch(rf"{_FAMILY}\w*", text) else None


def _families(text: str) -> tuple[str, ...]:
    """``[V100R001C15],[V100R001C18]``; nothing for a list that is not whole."""
    family = rf"\[{_FAMILY}\w*\]"
    return tuple(re.findall(r"\w+", text)) if re.fullmatch(rf"{family}(,{family})*", text) else ()


_EXPECTED = {
    "driver": ("version", "inner_version", "compatible", "compatible_firmware"),
    "firmware": ("version", "number", "compatible_driver"),
    "toolkit": ("version", "number", "inner_version", "compatible", "arch"),
    "nnae": ("version", "inner_version", "compatible", "arch"),
    "nnrt": ("version", "inner_version", "compatible", "arch"),
    "kernels": ("version", "number", "requires"),
    "nnal": ("version",),
    "mindie": ("version",),
}
"""What the files of a part usually say and the pairing rules need."""


def _check(component: Component, notes: list[Note]) -> Component:
    missing = [name for name in _EXPECTED[component.kind] if not getattr(component, name)]
    if missing:
        why = "its files do not say, or not in a form that is known"
        notes.append(Note(component.path, f"{component.kind}: {', '.join(missing)}", why))
    return component


def _with_socs(component: Component, answer: Answer) -> Component:
    """Kernels with the chips that they have binaries for, from the folders under ``opp``."""
    if component.kind != "kernels":
        return component
    socs = [
        soc
        for opp, _, soc in (line.partition("\t") for line in answer.lines("kernels"))
        if str(PurePosixPath(opp).parent) == _root("kernels", component.path)
    ]
    return replace(component, socs=tuple(sorted(set(socs))))


_PLATFORM = {
    "ai_core_cnt": "ai_cores",
    "vector_core_cnt": "vector_cores",
    "cube_freq": "cube_mhz",
    "memory_size": "memory_bytes",
    "ddr_rate": "ddr_rate",
    "l2_size": "l2_bytes",
}


def platform(answer: Answer) -> tuple[PlatformConfig, ...]:
    """What the toolkit in use believes about each chip, from ``platform_config/<SoC>.ini``."""
    found: dict[str, dict[str, int]] = {}
    for line in answer.lines("platform"):
        match = re.fullmatch(r"(.+/[^/]+\.ini):([a-z0-9_]+)=(\d+)", line.strip())
        if match and match[2] in _PLATFORM:
            # ddr_rate stands in several sections; the first is that of the matrix cores.
            found.setdefault(match[1], {}).setdefault(_PLATFORM[match[2]], whole(match[3]) or 0)
    return tuple(
        PlatformConfig(PurePosixPath(path).stem, path, **values)
        for path, values in sorted(found.items())
    )


_PACKAGE = re.compile(r"npu-(?:driver|firmware)_([^_\s]+?)(?:_linux-[\w-]+)?\.run")
_INSTALLED = re.compile(
    r"\[(Driver|Firmware)\] \[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\].*installed successfully!(.*)"
)


def installs(answer: Answer) -> tuple[Install, ...]:
    """Installations that succeeded, in the log's order; versions from the packages' names."""
    found, version = [], None
    for line in (line for frame in answer.starting("install log") for line in frame.lines):
        if package := _PACKAGE.search(line):
            version = package[1]
        if match := _INSTALLED.match(line):
            said = match[3].lower()
            reboot = True if "reboot now" in said else False if "immediately" in said else None
            found.append(Install(match[1], match[2], reboot, version))
            version = None
    return tuple(found)
