"""Container engines and the containers that run on them, from the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from paddock.deploy.host.facts import Container, Engine, Note
from paddock.deploy.host.frames import Answer
from paddock.deploy.host.redact import credentials

_CONFIG = {
    "docker": "/etc/docker/daemon.json",
    "isula": "/etc/isulad/daemon.json",
}


def engines(answer: Answer, notes: list[Note]) -> tuple[Engine, ...]:
    """The engines whose client is there; ``answers`` tells whether the engine itself is."""
    found = []
    for frame in answer.starting("engine "):
        name, path = frame.name.removeprefix("engine "), frame.text.strip()
        version = answer.get(f"{name} --version")
        number = re.search(r"\d+(?:\.\d+)+\S*", version.text) if version else None
        facts: dict[str, Any] = {
            "name": name,
            "path": path,
            "version": number[0].rstrip(",") if number else None,
            "configured_runtimes": _configured(answer, name, notes),
        }
        facts |= {"docker": _docker, "podman": _podman, "isula": _isula}.get(name, _unknown)(answer)
        found.append(Engine(**facts))
    return tuple(found)


def _unknown(_: Answer) -> dict[str, Any]:
    return {}


def _json(answer: Answer, name: str) -> tuple[Mapping[str, Any], str | None]:
    """The object that a command printed among other lines, and what else it said."""
    frame = answer.get(name)
    if frame is None:
        return {}, None
    start = re.search(r"^\{", frame.text, re.MULTILINE)
    said = frame.text[: start.start()] if start else frame.text
    value: Any = {}
    if start:
        try:
            value, end = json.JSONDecoder().raw_decode(frame.text, start.start())
            said += frame.text[end:]
        except ValueError:
            said = f"its answer is not whole JSON: {frame.text[start.start() :][:60]}"
    table: Mapping[str, Any] = value if isinstance(value, dict) else {}
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = table.get("ServerErrors")
    lines += [str(error) for error in errors] if isinstance(errors, list) else []
    if frame.exit_code == 124:
        lines.append("it did not answer in time")
    failed = frame.exit_code != 0 or not table
    return table, credentials(" ".join(dict.fromkeys(lines))) or None if failed else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _docker(answer: Answer) -> dict[str, Any]:
    """Source of the keys: the Engine API's ``GET /info``."""
    info, problem = _json(answer, "docker info")
    runtimes = info.get("Runtimes")
    options = info.get("SecurityOptions")
    server = _text(info.get("ServerVersion"))
    return {
        "server_version": server,
        "answers": server is not None,
        "problem": problem,
        "runtimes": tuple(sorted(runtimes)) if isinstance(runtimes, dict) else (),
        "default_runtime": _text(info.get("DefaultRuntime")),
        "storage_driver": _text(info.get("Driver")),
        "cgroup_version": _text(info.get("CgroupVersion")),
        "root": _text(info.get("DockerRootDir")),
        "security": tuple(map(str, options)) if isinstance(options, list) else (),
    }


def _podman(answer: Answer) -> dict[str, Any]:
    """Source of the keys: podman-info(1)."""
    if answer.get("podman info") is None:
        return {"problem": "it has no storage yet, and asking it would make one"}
    info, problem = _json(answer, "podman info")
    host, store, version = (_table(info.get(key)) for key in ("host", "store", "version"))
    runtime = _text(_table(host.get("ociRuntime")).get("name"))
    return {
        "server_version": _text(version.get("Version")),
        "answers": bool(info),
        "problem": problem,
        "runtimes": (runtime,) if runtime else (),
        "default_runtime": runtime,
        "storage_driver": _text(store.get("graphDriverName")),
        "cgroup_version": (_text(host.get("cgroupVersion")) or "").removeprefix("v") or None,
        "root": _text(store.get("graphRoot")),
    }


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _isula(answer: Answer) -> dict[str, Any]:
    """``key: value`` lines, as docker prints them for people."""
    frame = answer.get("isula info")
    if frame is None:
        return {}
    table = {
        key.strip(): value.strip()
        for key, colon, value in (line.partition(":") for line in frame.lines)
        if colon
    }
    failed = frame.exit_code != 0
    return {
        "server_version": table.get("Server Version"),
        "answers": not failed,
        "problem": credentials(" ".join(frame.lines)) if failed else None,
        "storage_driver": table.get("Storage Driver"),
        "root": table.get("iSulad Root Dir"),
    }


def _configured(answer: Answer, engine: str, notes: list[Note]) -> tuple[str, ...]:
    path = _CONFIG.get(engine)
    frame = answer.file(path) if path else None
    if frame is None:
        return ()
    try:
        runtimes = _table(json.loads(frame.text)).get("runtimes", {})
    except ValueError as error:
        notes.append(Note(frame.path, "runtimes", f"it is not JSON: {error}"))
        return ()
    return tuple(sorted(_table(runtimes)))


def containers(answer: Answer) -> tuple[Container, ...]:
    """What runs, with the devices each was given."""
    found: list[Container] = []
    for frame in answer.starting(""):
        engine = frame.name.removesuffix(" containers")
        if engine != frame.name:
            blocks = re.split(r"^(?=container )", frame.text, flags=re.MULTILINE)
            found += [_container(engine, block) for block in blocks if block.strip()]
    return tuple(found)


def _container(engine: str, block: str) -> Container:
    devices: list[str] = []
    published: list[str] = []
    table: dict[str, str] = {}
    for line in block.splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "device":
            devices.append(value)
        elif key == "publish":
            published.append(value)
        elif key == "env":
            table.setdefault("visible", value.partition("=")[2])
        else:
            table[key] = value
    return Container(
        engine=engine,
        name=table.get("container", "").lstrip("/"),
        id=table.get("id", "")[:12] or None,
        image=table.get("image") or None,
        privileged={"true": True, "false": False}.get(table.get("privileged", "")),
        devices=tuple(devices),
        runtime=table.get("runtime") or None,
        visible_devices=table.get("visible"),
        network=table.get("network") or None,
        published=tuple(published),
    )
