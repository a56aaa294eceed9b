"""``paddock serve``: the OpenAI-compatible server."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from paddock.cli import options, render
from paddock.errors import PaddockError, UsageError

SAFETY = "Who may ask"
LOAD = "Load"
SCALE = "Scale-out"
MINDSPORE_BATCH = 4
"""Answers made at the same time by MindFormers unless told otherwise."""

EXAMPLES = r"""
paddock serve                              the built-in model on http://127.0.0.1:8000
paddock serve llama2-7b-chat --quant int4 --port 9000
paddock serve --host 0.0.0.0 --api-key-file keys
paddock serve llama2-70b --tp 8            one model on eight cards of this host
curl http://127.0.0.1:8000/v1/completions -H 'Content-Type: application/json' \
     -d '{"model": "demo", "prompt": "LLaMA is a"}'
"""


class ServedBy(str, Enum):
    """What computes for a server."""

    auto = "auto"
    native = "native"
    torch = "torch"
    mindspore = "mindspore"
    vllm = "vllm"


Port = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Port; 0 takes any free one.  [default: 8000]", show_default=False
    ),
]
Host = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Address.  [default: 127.0.0.1]", show_default=False),
]
Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What clients call the model.", show_default=False),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Only who has a key of this file may ask.",
        rich_help_panel=SAFETY,
        show_default=False,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure", help="Let other machines ask without a key.", rich_help_panel=SAFETY
    ),
]
Origin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ORIGIN",
        help="Let pages of this origin ask (CORS); repeatable.",
        rich_help_panel=SAFETY,
        show_default=False,
    ),
]
MaxBatch = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Answers made at the same time.  [default: 32; 4 with mindspore]",
        rich_help_panel=LOAD,
        show_default=False,
    ),
]
MaxWaiting = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Answers that may wait; more are refused (429).  [default: 256]",
        rich_help_panel=LOAD,
        show_default=False,
    ),
]
MaxBody = Annotated[
    int | None,
    typer.Option(
        metavar="BYTES",
        min=1,
        help="Largest request.  [default: 4194304]",
        rich_help_panel=LOAD,
        show_default=False,
    ),
]
RequestTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        help="Longest time for one request.  [default: 600]",
        rich_help_panel=LOAD,
        show_default=False,
    ),
]
DrainTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        help="Longest wait for running answers at the end.  [default: 300]",
        rich_help_panel=LOAD,
        show_default=False,
    ),
]
StreamInterval = Annotated[
    float | None,
    typer.Option(
        metavar="MS",
        min=0,
        max=1000,
        help="Send tokens of so many milliseconds together; 0: each at once.  [default: 10]",
        rich_help_panel=LOAD,
        show_default=False,
    ),
]
LogFormat = Annotated[
    str | None,
    typer.Option(metavar="text|json", help="Form of the log.  [default: text]", show_default=False),
]
LogPrompts = Annotated[
    bool, typer.Option("--log-prompts", help="Write prompts and answers into the log.")
]
Ray = Annotated[
    bool,
    typer.Option("--ray", help="Deploy replicas on a Ray cluster.", rich_help_panel=SCALE),
]
RayAddress = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="The cluster: auto, local (a new one here) or ray://…",
        rich_help_panel=SCALE,
    ),
]
MinReplicas = Annotated[
    int, typer.Option(metavar="N", min=1, help="Replicas at least.", rich_help_panel=SCALE)
]
MaxReplicas = Annotated[
    int, typer.Option(metavar="N", min=1, help="Replicas at most.", rich_help_panel=SCALE)
]
ReplicaCpus = Annotated[
    float, typer.Option(metavar="X", help="CPUs of one replica.", rich_help_panel=SCALE)
]
ReplicaGpus = Annotated[
    float, typer.Option(metavar="X", help="GPUs of one replica.", rich_help_panel=SCALE)
]
Detach = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="Leave the replicas to Ray and return; again, it updates them.",
        rich_help_panel=SCALE,
    ),
]
VllmProgram = Annotated[
    str | None,
    typer.Option(
        "--vllm",
        metavar="PROGRAM",
        help="vLLM's program, for --runtime vllm.  [default: vllm]",
        rich_help_panel=SCALE,
        show_default=False,
    ),
]
VllmArg = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        help="A word for vLLM's command line; repeatable.",
        rich_help_panel=SCALE,
        show_default=False,
    ),
]
Runtime = Annotated[
    ServedBy,
    typer.Option(
        "--runtime",
        metavar="auto|native|torch|mindspore|vllm",
        help="What computes; auto is native on CPUs, vllm starts vllm serve.",
        rich_help_panel=options.MACHINE,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML with the same names; options go first.",
        show_default=False,
    ),
]


def serve(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A stored model or a path to one.  [default: the built-in model]",
            autocompletion=options.complete_model,
            show_default=False,
        ),
    ] = None,
    port: Port = None,
    host: Host = None,
    name: Name = None,
    config: ConfigFile = None,
    api_key_file: KeyFile = None,
    insecure: Insecure = False,
    cors_origin: Origin = None,
    max_batch: MaxBatch = None,
    max_waiting: MaxWaiting = None,
    max_body: MaxBody = None,
    request_timeout: RequestTimeout = None,
    drain_timeout: DrainTimeout = None,
    stream_interval_ms: StreamInterval = None,
    device: options.DeviceOption = options.Device.auto,
    runtime: Runtime = ServedBy.auto,
    mindspore_python: options.MindSporePython = None,
    mode: options.ModeOption = None,
    dtype: options.DtypeOption = options.Dtype.auto,
    quant: options.QuantOption = None,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    max_seq_len: options.MaxSeqLen = None,
    tp: options.Tp = 1,
    pp: options.Pp = 1,
    nnodes: options.Nnodes = 1,
    node_rank: options.NodeRank = 0,
    rdzv_endpoint: options.RdzvEndpoint = None,
    vllm: VllmProgram = None,
    vllm_arg: VllmArg = None,
    ray: Ray = False,
    ray_address: RayAddress = "auto",
    min_replicas: MinReplicas = 1,
    max_replicas: MaxReplicas = 1,
    replica_cpus: ReplicaCpus = 1,
    replica_gpus: ReplicaGpus = 0,
    detach: Detach = False,
    log_format: LogFormat = None,
    log_prompts: LogPrompts = False,
    debug: options.Debug = False,
) -> None:
    """Serves a model over HTTP, as OpenAI's API, with a page to talk to at /.

    SIGTERM and Ctrl-C let accepted requests end; a second one does not. The log is on standard
    error.
    """
    given: dict[str, Any] = {
        "model": model,
        "port": port,
        "host": host,
        "name": name,
        "api_key_file": api_key_file,
        "insecure": insecure or None,
        "cors_origins": tuple(cors_origin) if cors_origin else None,
        "max_batch": max_batch,
        "max_waiting": max_waiting,
        "max_body": max_body,
        "request_timeout": request_timeout,
        "drain_timeout": drain_timeout,
        "stream_interval_ms": stream_interval_ms,
        "log_format": log_format,
        "log_prompts": log_prompts or None,
    }
    machine = {
        "device": device.value,
        "runtime": runtime.value,
        "dtype": dtype.value,
        "quant": quant.value if quant else None,
        "kv": None if kv is options.Kv.auto else kv.value,
        "threads": threads,
        "max_seq_len": max_seq_len,
        "vllm": vllm,
        "vllm_args": tuple(vllm_arg) if vllm_arg else None,
        **options.ranks(tp, pp, nnodes, node_rank, rdzv_endpoint),
        "python": str(mindspore_python) if mindspore_python else None,
        "mode": mode.value if mode else None,
    }
    wanted = configured(config, given, machine)
    if node_rank:
        lend(wanted)
        return
    if detach and not ray:
        raise UsageError("--detach is for replicas on a Ray cluster", hint="use it with --ray")
    if ray:
        from paddock.inference.serve import ray as scaled

        cluster = scaled.RayConfig(
            ray_address, min_replicas, max_replicas, replica_cpus, replica_gpus
        )
        scaled.run(wanted, cluster, detach=detach)
        return
    from paddock.inference.serve.server import serve as run

    run(wanted)


def lend(config: Any) -> None:
    """Lends this host's cards to the server of host 0, until that ends."""
    from paddock import settings
    from paddock.inference.checkpoint import store
    from paddock.inference.runtimes.ranks.launch import Group, join

    wishes = dict(config.options)
    path = store.locate(config.model, settings.load())
    if wishes.get("runtime") == "vllm":
        from paddock.inference.serve.vllm import command, supervisor

        told = command.Command.of(path, config.served_name, config.max_batch, wishes)
        if code := supervisor.lend(told):
            raise PaddockError(f"vLLM ended with exit code {code}")
        return
    group = Group.take(wishes)
    if group is None:
        raise UsageError("--node-rank without --tp or --pp", hint="one rank needs one host")
    render.line(f"lending this host's cards to {group.nodes.endpoint}")
    join(group, str(path), wishes.get("device", "auto"))


def configured(file: Path | None, given: dict[str, Any], machine: dict[str, Any]) -> Any:
    """The ServeConfig of the options over the file's. Raises UsageError."""
    from paddock import settings
    from paddock.inference.serve.config import ServeConfig, from_mapping

    values = from_mapping(settings.read_toml(file), str(file)) if file else {}
    chosen = {"threads": settings.load().threads, **values.pop("options", {})}
    chosen.update({k: v for k, v in machine.items() if v not in (None, "auto")})
    if chosen.get("runtime") == "mindspore":
        # A row of its rectangle is computed and kept whether anybody uses it or not.
        values.setdefault("max_batch", MINDSPORE_BATCH)
    else:
        chosen.setdefault("cache", "paged")
    values.update({name: value for name, value in given.items() if value is not None})
    return ServeConfig(**values, options=chosen)
