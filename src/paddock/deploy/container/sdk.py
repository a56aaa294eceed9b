"""docker and podman through the Docker SDK, over a local or a forwarded socket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from paddock.deploy.container.engine import ANSWER_S, Found, Image, folder_archive, refused
from paddock.deploy.container.spec import ContainerSpec


class SdkEngine:
    """An engine that speaks the Docker Engine API; see ``Engine``.

    ``base_url`` is a ``unix://`` address, None for what the environment says (DOCKER_HOST, TLS).
    Raises ContainerError where nobody answers.
    """

    def __init__(self, name: str, base_url: str | None) -> None:
        import docker

        self.name = name
        with self._asking("connect"):
            if base_url is None:
                self._client = docker.from_env(timeout=ANSWER_S)
            else:
                self._client = docker.DockerClient(base_url=base_url, timeout=ANSWER_S)
            self._client.ping()

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    @contextlib.contextmanager
    def _asking(self, action: str) -> Iterator[None]:
        """Turns the SDK's errors and those of its transport into ours."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            yield
        except APIError as error:
            raise refused(self.name, action, str(error.explanation or error)) from error
        except (DockerException, RequestException, OSError) as error:
            raise refused(self.name, action, str(error)) from error

    def images(self) -> list[Image]:
        """See Engine."""
        with self._asking("list images"):
            rows = self._client.api.images()
        return [Image(row["Id"], tuple(row.get("RepoTags") or ()), row.get("Size")) for row in rows]

    def image(self, name: str) -> Image | None:
        """See Engine."""
        from docker.errors import NotFound

        with self._asking(f"look for the image {name}"):
            try:
                row = self._client.api.inspect_image(name)
            except NotFound:
                return None
        layers = (row.get("RootFS") or {}).get("Layers") or ()
        names = tuple(row.get("RepoTags") or ())
        return Image(row["Id"], names, row.get("Size"), tuple(layers))

    def tag(self, image: str, name: str) -> None:
        """See Engine."""
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(name)
        with self._asking(f"name the image {name}"):
            self._client.api.tag(image, repository, tag)

    def remove_image(self, name: str) -> None:
        """See Engine."""
        with self._asking(f"remove the image {name}"):
            self._client.api.remove_image(name)

    def containers(self) -> list[Found]:
        """See Engine."""
        with self._asking("list containers"):
            rows = self._client.api.containers(all=True)
        return [
            Found(
                name=(row.get("Names") or [""])[0].lstrip("/"),
                id=row["Id"],
                image=row.get("Image", ""),
                image_id=row.get("ImageID", ""),
                status=row.get("State", ""),
                labels=row.get("Labels") or {},
            )
            for row in rows
        ]

    def find(self, name: str) -> Found | None:
        """See Engine."""
        from docker.errors import NotFound

        with self._asking(f"look for the container {name}"):
            try:
                row = self._client.api.inspect_container(name)
            except NotFound:
                return None
        found = Found(
            name=row["Name"].lstrip("/"),
            id=row["Id"],
            image=row["Config"].get("Image", ""),
            image_id=row.get("Image", ""),
            status=row["State"].get("Status", ""),
            labels=row["Config"].get("Labels") or {},
            restarts=row.get("RestartCount") or 0,
        )
        return found if found.name == name else None  # an id is not a name

    def create(self, spec: ContainerSpec) -> None:
        """See Engine."""
        with self._asking(f"create the container {spec.name}"):
            self._client.api.create_container(**_arguments(self._client.api, spec))

    def start(self, name: str) -> None:
        """See Engine."""
        with self._asking(f"start the container {name}"):
            self._client.api.start(name)

    def stop(self, name: str, seconds: int) -> None:
        """See Engine."""
        with self._asking(f"stop the container {name}"):
            self._client.api.stop(name, timeout=seconds)

    def make_folder(self, name: str, path: str) -> None:
        """See Engine."""
        with self._asking(f"make {path} in the container {name}"):
            self._client.api.put_archive(name, "/", folder_archive(path))

    def rename(self, name: str, to: str) -> None:
        """See Engine."""
        with self._asking(f"rename the container {name}"):
            self._client.api.rename(name, to)

    def remove(self, name: str, *, force: bool = False) -> None:
        """See Engine."""
        with self._asking(f"remove the container {name}"):
            self._client.api.remove_container(name, force=force)

    def logs(self, name: str) -> str:
        """See Engine."""
        with self._asking(f"read the log of the container {name}"):
            text: bytes = self._client.api.logs(name, tail=50)
        return text.decode(errors="replace")


def _arguments(api: Any, spec: ContainerSpec) -> dict[str, Any]:
    """The spec as the SDK's arguments; ``None`` leaves an option to the engine."""
    from docker.types import DeviceRequest, Mount, Ulimit

    requests = []
    if spec.gpus == "all":
        requests.append(DeviceRequest(count=-1, capabilities=[["gpu"]]))
    elif spec.gpus:
        requests.append(DeviceRequest(device_ids=spec.gpus.split(","), capabilities=[["gpu"]]))
    if spec.cdi:
        requests.append(DeviceRequest(driver="cdi", device_ids=list(spec.cdi)))
    policy, _, count = spec.restart.partition(":")
    restart = {"Name": policy, "MaximumRetryCount": int(count)} if count else {"Name": policy}
    host = api.create_host_config(
        devices=[f"{path}:{path}:rwm" for path in spec.devices],
        device_requests=requests or None,
        runtime=spec.runtime,
        mounts=[Mount(m.target, m.source, "bind", read_only=m.read_only) for m in spec.mounts],
        port_bindings={p.container: [(p.address, p.host)] for p in spec.ports},
        network_mode=spec.network,
        ipc_mode=spec.ipc,
        shm_size=spec.shm,
        pids_limit=spec.pids,
        ulimits=[Ulimit(name=k, soft=v, hard=v) for k, v in sorted(spec.ulimits.items())],
        group_add=[str(group) for group in spec.groups],
        privileged=spec.privileged,
        cap_add=list(spec.cap_add),
        restart_policy=restart,
    )
    command = spec.command or ()
    return {
        "image": spec.image,
        "name": spec.name,
        "entrypoint": list(command[:1]) or None,
        "command": list(command[1:]) or None,
        "hostname": spec.hostname,
        "user": spec.user,
        "working_dir": spec.workdir,
        "environment": dict(spec.environment),
        "ports": [port.container for port in spec.ports],
        "labels": spec.labels,
        "stop_timeout": spec.stop_seconds,
        "host_config": host,
    }
