"""A container as Kubernetes objects: a Deployment of one and the Service in front of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from paddock._version import __version__
from paddock.deploy.container import ascend
from paddock.deploy.container.secret import looks_secret
from paddock.deploy.container.spec import ContainerSpec
from paddock.errors import UsageError

RESOURCES = {
    "910": "huawei.com/Ascend910",
    "910b": "huawei.com/Ascend910",
    "a3": "huawei.com/Ascend910",
    "310": "huawei.com/Ascend310",
    "310p": "huawei.com/Ascend310P",
    "950": "huawei.com/npu",
    "nvidia": "nvidia.com/gpu",
}
"""What Huawei's (MindCluster) and NVIDIA's device plugins call a card, by the catalogue's chips."""

ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}
"""Kubernetes' words. Source: the label kubernetes.io/arch."""


@dataclass(frozen=True, slots=True)
class Node:
    """What of a machine decides about its pods: the catalogue's chip, ``uname -m``, how many cards.

    ``ready`` is the port of a server whose /ready is asked, None for none.
    """

    chip: str
    arch: str | None
    cards: int
    ready: int | None = None


def cards(spec: ContainerSpec, gpus: int = 0) -> int:
    """How many cards a container is given; ``gpus`` is what ``all`` means on its host."""
    nodes = sum(bool(re.fullmatch(r"/dev/davinci\d+", path)) for path in spec.devices)
    visible = spec.environment.get(ascend.VISIBLE) if spec.runtime == ascend.RUNTIME else None
    if visible:
        bounds = [part.split("-") for part in visible.split(",")]
        return sum(int(each[-1]) - int(each[0]) + 1 for each in bounds)
    if spec.gpus == "all" or spec.cdi == ("nvidia.com/gpu=all",):
        return gpus
    return nodes or len(spec.cdi) or len(spec.gpus.split(",") if spec.gpus else ())


def kubernetes(spec: ContainerSpec, node: Node) -> str:
    """The objects as YAML documents. Values that look secret come from a Secret of the same name.

    Raises UsageError for a chip whose resource no source names, and for a name that Kubernetes
    refuses.
    """
    return f"# Written by paddock {__version__}.\n" + "---\n".join(
        yaml.safe_dump(each, sort_keys=False, allow_unicode=True, width=100)
        for each in objects(spec, node)
    )


def objects(spec: ContainerSpec, node: Node) -> list[dict[str, Any]]:
    """The same as values. Source of the fields: the Kubernetes API, apps/v1 and v1."""
    name = _name(spec.name)
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "paddock"}
    pod = {
        "containers": [_container(spec, node, name)],
        "terminationGracePeriodSeconds": spec.stop_seconds,
        "nodeSelector": {"kubernetes.io/arch": ARCHITECTURES[node.arch]}
        if node.arch in ARCHITECTURES
        else None,
        "hostNetwork": True if spec.network == "host" else None,
        "hostIPC": True if spec.ipc == "host" else None,
        "securityContext": {"supplementalGroups": list(spec.groups)} if spec.groups else None,
        "volumes": list(_volumes(spec)) or None,
        # Nothing in it talks to the cluster.
        "automountServiceAccountToken": False,
    }
    found: list[dict[str, Any]] = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": 1,
                # Two pods at once would want the same cards.
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
                "template": {"metadata": {"labels": labels}, "spec": _given(pod)},
            },
        }
    ]
    if spec.ports:
        ports = [
            {"name": f"port-{port.container}", "port": port.container, "protocol": "TCP"}
            for port in spec.ports
        ]
        found.append(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "labels": labels},
                "spec": {"selector": {"app.kubernetes.io/name": name}, "ports": ports},
            }
        )
    return found


def _container(spec: ContainerSpec, node: Node, name: str) -> dict[str, Any]:
    command = list(spec.command or ())
    limits = {_resource(node.chip): node.cards} if node.cards else None
    security: dict[str, Any] = {
        "privileged": True if spec.privileged else None,
        "allowPrivilegeEscalation": None if spec.privileged or spec.cap_add else False,
        "capabilities": {"add": list(spec.cap_add)} if spec.cap_add else None,
        **_user(spec),
    }
    probe = {"httpGet": {"path": "/ready", "port": node.ready}, "periodSeconds": 10}
    return _given(
        {
            "name": name,
            "image": spec.image,
            "command": command[:1] or None,
            "args": [word.replace("$(", "$$(") for word in command[1:]] or None,
            "workingDir": spec.workdir,
            "env": [_variable(k, v, name) for k, v in sorted(spec.environment.items())] or None,
            "ports": [{"containerPort": port.container} for port in spec.ports] or None,
            "resources": {"requests": limits, "limits": limits} if limits else None,
            "readinessProbe": probe if node.ready else None,
            "securityContext": _given(security),
            "volumeMounts": [
                _given({"name": volume, "mountPath": path, "readOnly": read_only or None})
                for volume, path, read_only in _places(spec)
            ]
            or None,
        }
    )


def _user(spec: ContainerSpec) -> dict[str, int]:
    """Kubernetes knows users by number only; root is what images have anyway."""
    if spec.user in (None, "root"):
        return {}
    numbers = str(spec.user).split(":")
    if not all(number.isdecimal() for number in numbers) or len(numbers) > 2:
        raise UsageError(
            f"container.user is {spec.user!r}, and Kubernetes takes numbers only",
            hint="write it as UID or UID:GID",
        )
    return dict(zip(("runAsUser", "runAsGroup"), map(int, numbers), strict=False))


def _variable(name: str, value: str, secret: str) -> dict[str, Any]:
    if looks_secret(name):
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
    return {"name": name, "value": value.replace("$(", "$$(")}


def _places(spec: ContainerSpec) -> Iterator[tuple[str, str, bool]]:
    """Volume, path and whether it is read only, for each mount and for /dev/shm."""
    for number, mount in enumerate(spec.mounts):
        yield f"host-{number}", mount.target, mount.read_only
    if spec.shm is not None:
        yield "shm", "/dev/shm", False  # noqa: S108 - the container's own


def _volumes(spec: ContainerSpec) -> Iterator[dict[str, Any]]:
    for number, mount in enumerate(spec.mounts):
        # Without a type the kubelet takes what is there and makes nothing.
        yield {"name": f"host-{number}", "hostPath": {"path": mount.source}}
    if spec.shm is not None:
        yield {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(spec.shm)}}


def _resource(chip: str) -> str:
    if chip not in RESOURCES:
        raise UsageError(
            f"no source names the Kubernetes resource of the chip {chip!r}",
            hint=f"known are {', '.join(RESOURCES)}",
        )
    return RESOURCES[chip]


def _name(name: str) -> str:
    """Source of the rule: RFC 1123 labels, as the API server checks them; a Service's starts with a
    letter (RFC 1035).
    """
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name):
        raise UsageError(
            f"{name!r} is no name for Kubernetes",
            hint="a-z, 0-9 and -, the first a letter, 63 at most: set container.name",
        )
    return name


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
