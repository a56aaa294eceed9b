"""A container as a Compose file."""

from __future__ import annotations

from typing import Any

import yaml

from paddock._version import __version__
from paddock.deploy.container.secret import looks_secret
from paddock.deploy.container.spec import ContainerSpec

HEAD = f"""\
# Written by paddock {__version__}.
#   docker compose -f compose.yaml up -d
"""


def compose(spec: ContainerSpec) -> str:
    """The file's text; values that look secret are left to the environment of who starts it.

    Source: the Compose specification.
    """
    document = {"name": spec.deployment or spec.name, "services": {spec.name: service(spec)}}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return HEAD + text


def service(spec: ContainerSpec) -> dict[str, Any]:
    """The service's values in Compose's words; what is not set is not there."""
    values: dict[str, Any] = {
        "image": spec.image,
        "container_name": spec.name,
        "entrypoint": [_plain(w) for w in spec.command[:1]] if spec.command else None,
        "command": [_plain(w) for w in spec.command[1:]] if spec.command else None,
        "devices": [f"{path}:{path}" for path in spec.devices] or None,
        "runtime": spec.runtime,
        "volumes": [
            {
                "type": "bind",
                "source": _plain(mount.source),
                "target": _plain(mount.target),
                "read_only": mount.read_only,
                "bind": {"create_host_path": False},
            }
            for mount in spec.mounts
        ]
        or None,
        **_network(spec),
        "ipc": spec.ipc,
        "shm_size": spec.shm,
        "pids_limit": spec.pids,
        "ulimits": dict(sorted(spec.ulimits.items())) or None,
        "working_dir": spec.workdir,
        "user": spec.user,
        "group_add": [str(group) for group in spec.groups] or None,
        "environment": {
            name: None if looks_secret(name) else _plain(value)
            for name, value in sorted(spec.environment.items())
        }
        or None,
        "privileged": spec.privileged or None,
        "cap_add": list(spec.cap_add) or None,
        "restart": spec.restart,
        "stop_grace_period": f"{spec.stop_seconds}s",
        "deploy": _gpus(spec),
    }
    return {key: value for key, value in values.items() if value is not None}


def _network(spec: ContainerSpec) -> dict[str, Any]:
    ports = [
        {
            "target": port.container,
            "published": str(port.host),
            "protocol": "tcp",
            **({"host_ip": port.address} if port.address else {}),
        }
        for port in spec.ports
    ]
    # Compose's own network of the deployment is a bridge.
    mode = {} if spec.network == "bridge" else {"network_mode": spec.network}
    return {**mode, "hostname": spec.hostname, "ports": ports or None}


def _gpus(spec: ContainerSpec) -> dict[str, Any] | None:
    if spec.cdi:
        device: dict[str, Any] = {"driver": "cdi", "device_ids": list(spec.cdi)}
    elif spec.gpus == "all":
        device = {"driver": "nvidia", "count": "all"}
    elif spec.gpus:
        device = {"driver": "nvidia", "device_ids": spec.gpus.split(",")}
    else:
        return None
    return {"resources": {"reservations": {"devices": [device | {"capabilities": ["gpu"]}]}}}


def _plain(text: str) -> str:
    """Compose replaces ``$NAME``; ``$$`` is a dollar sign."""
    return text.replace("$", "$$")
