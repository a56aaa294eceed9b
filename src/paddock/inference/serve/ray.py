"""More than one replica: the same application deployed by Ray Serve on a cluster that Ray runs.

Ray brings what it is good at: replicas on several machines, their health, autoscaling, rolling
updates. What a replica does is what ``paddock serve`` does on one machine.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from typing import Any

from paddock import settings
from paddock.errors import MissingExtra, PaddockError, UsageError
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.parts import Split
from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.ray_ranks import PipeLauncher, RayRanks, bundles, split_of
from paddock.inference.serve.state import State

APPLICATION = "paddock"

PROXIES_S = 240.0
"""Seconds that the proxies may take to start, after those that Ray Serve waits itself."""


@dataclass(frozen=True, slots=True)
class RayConfig:
    """How replicas are run.

    ``address`` is the cluster's (``auto``: the one this machine belongs to; ``local``: a new one
    on this machine). ``cpus`` and ``gpus`` are what one replica takes of a node; with several
    ranks that is the server's ``cpus`` and, for each rank, as many and one card. Between
    ``min_replicas`` and ``max_replicas`` run, so many that each has about ``ongoing`` requests; one
    is added after ``upscale_s`` seconds with more, taken away after ``downscale_s`` with fewer.
    """

    address: str = "auto"
    min_replicas: int = 1
    max_replicas: int = 1
    cpus: float = 1
    gpus: float = 0
    ongoing: int = 8
    upscale_s: float = 5
    downscale_s: float = 120

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise UsageError(
                f"{self.min_replicas} to {self.max_replicas} replicas",
                hint="min_replicas must be 1 or more and at most max_replicas",
            )
        if self.cpus <= 0 or self.gpus < 0 or self.ongoing < 1:
            raise UsageError(
                f"cpus is {self.cpus}, gpus {self.gpus}, ongoing {self.ongoing}",
                hint="cpus must be above 0, gpus 0 or more, ongoing 1 or more",
            )


def deployment(config: ServeConfig, ray: RayConfig) -> Any:
    """The Ray Serve application. A replica counts as started when its model is loaded.

    Raises UsageError for a wish that cannot be honoured.
    """
    state: list[State] = []
    # vLLM starts its own ranks, within one node.
    split = Split() if config.options.get("runtime") == "vllm" else split_of(config.options)
    placed: dict[str, Any] = {"ray_actor_options": {"num_cpus": ray.cpus, "num_gpus": ray.gpus}}
    if split.size > 1:
        if ray.gpus:
            raise UsageError(
                f"gpus is {ray.gpus} with {split.size} ranks",
                hint="leave --replica-gpus out: each rank takes one card",
            )
        device = str(config.options.get("device", "auto"))
        placed = {
            "ray_actor_options": {"num_cpus": ray.cpus},
            "placement_group_bundles": bundles(split, device, ray.cpus),
            "placement_group_strategy": "PACK",
        }
    library = _library()
    serve = library.serve

    def application() -> Any:
        from paddock.inference.serve.app import build

        state.append(State(config if split.size == 1 else _with_ranks(library, config, split)))
        return build(state[0], wait=True)

    class Replica:
        async def check_health(self) -> None:
            why = state[0].why_not_ready() if state else "loading"
            # A worker that is being started again is the replica's own business.
            if why == "failed":
                raise RuntimeError("the model cannot be loaded")

    return serve.deployment(
        serve.ingress(application)(Replica),
        name="Llama",
        autoscaling_config={
            "min_replicas": ray.min_replicas,
            "max_replicas": ray.max_replicas,
            "target_ongoing_requests": ray.ongoing,
            "upscale_delay_s": ray.upscale_s,
            "downscale_delay_s": ray.downscale_s,
        },
        max_ongoing_requests=config.max_batch + config.max_waiting,
        health_check_period_s=2,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=config.drain_timeout,
        **placed,
    ).bind()


def _with_ranks(library: Any, config: ServeConfig, split: Split) -> ServeConfig:
    """In a replica: its own ranks are ready to be started, wherever its engine will be."""
    mine, theirs = Pipe()
    path = str(store.locate(config.model, settings.load()))
    RayRanks(library, split, path, str(config.options["device"]), mine)
    launcher = PipeLauncher(theirs, library.util.get_node_ip_address())
    return replace(config, options={**config.options, "launcher": launcher})


def deploy(config: ServeConfig, ray: RayConfig) -> None:
    """Connects to the cluster, and starts the application or updates the one that runs.

    An update replaces replica by replica. Raises UsageError for a wish that cannot be honoured,
    PaddockError if there is no cluster or it cannot be deployed.
    """
    if not config.port:
        raise UsageError("port is 0", hint="choose one: it is the same on all nodes of the cluster")
    # Replicas are reached through the proxies only.
    inner = replace(config, host="127.0.0.1", insecure=False)
    application = deployment(inner, ray)
    library = _library()
    if not library.is_initialized():
        _connect(library, ray.address)
    _start_proxies(library, config)
    try:
        library.serve.run(application, name=APPLICATION, route_prefix="/")
    except TimeoutError:
        _until_proxies_serve(library)  # the replicas are there, or it had said RuntimeError
    except (RuntimeError, library.exceptions.RayError) as error:
        raise PaddockError(f"Ray Serve could not deploy: {error}") from None


def _start_proxies(library: Any, config: ServeConfig) -> None:
    """Starts the proxies, which do what is left to them; or finds those that run, if they fit."""
    # Addresses and keys were checked by ServeConfig.
    http = {"host": config.host, "port": config.port}
    try:
        library.serve.start(proxy_location="EveryNode", http_options=http)
    except TimeoutError:
        _until_proxies_serve(library)
    except library.exceptions.RayError as error:
        raise PaddockError(
            f"Ray Serve's proxies did not start: {error}",
            hint="the port may be taken; Ray's logs say more",
        ) from None
    # Ray Serve only warns that it goes on listening where it did; nothing public tells it.
    running = library.serve.context._get_global_client().http_config
    if (running.host, running.port) != (config.host, config.port):
        raise UsageError(
            f"Ray Serve already listens on {running.host}:{running.port} of this cluster, not"
            f" {config.host}:{config.port}",
            hint=f"give --host {running.host} --port {running.port}, or serve shutdown first",
        )


def _until_proxies_serve(library: Any) -> None:
    """Waits longer than Ray Serve does (60 s): on busy nodes a proxy takes minutes to start.

    Raises PaddockError.
    """
    end = time.monotonic() + PROXIES_S
    while True:
        found = [str(one.value) for one in library.serve.status().proxies.values()]
        # Nodes without a replica need no proxy: theirs drain.
        if "HEALTHY" in found and not {"STARTING", "UNHEALTHY"} & set(found):
            return
        if time.monotonic() > end:
            raise PaddockError(
                f"Ray Serve's proxies did not start within {PROXIES_S:g} s: {', '.join(found)}",
                hint="the cluster is overloaded or the port taken; ray status says more",
            )
        time.sleep(0.5)


def _connect(library: Any, address: str) -> None:
    """Joins the cluster at ``address``. Raises PaddockError if there is none."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    try:
        if colon:
            # Ray itself tries for minutes before it says that nobody listens.
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        library.init(
            address=None if address == "local" else address,
            logging_level="warning",
            include_dashboard=False,
        )
    except (OSError, ValueError) as error:
        raise PaddockError(
            f"there is no Ray cluster at {address}: {error}",
            hint="start one with ray start --head, or use --ray-address local",
        ) from None


def run(config: ServeConfig, ray: RayConfig, *, detach: bool = False) -> None:
    """Deploys, waits for SIGTERM or Ctrl-C, takes the application down again.

    With ``detach`` it returns when the application runs, which goes on; what ran before under its
    name is replaced replica by replica. Raises UsageError for that on a cluster of this process.
    """
    if detach and ray.address == "local":
        raise UsageError(
            "a cluster of this process's own ends with it", hint="use --detach with ray start"
        )
    deploy(config, ray)
    library = _library()
    if not detach:
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
        library.serve.delete(APPLICATION)
    library.shutdown()


def _library() -> Any:
    try:
        import ray
        import ray.serve
    except ModuleNotFoundError:
        raise MissingExtra("ray", "ray") from None
    return ray
