"""The options that several commands share, so that each is spelled and explained once."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddock.errors import PaddockError

if TYPE_CHECKING:
    from paddock.inference.llm import LLM, GenerationParams

CHOICE = "Choosing the next token"
MACHINE = "Machine"
RANKS = "Several cards and hosts"


class Device(str, Enum):
    """Where the model runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    npu = "npu"


class Dtype(str, Enum):
    """The type of the weights while they run."""

    auto = "auto"
    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"


class RuntimeName(str, Enum):
    """What computes."""

    auto = "auto"
    native = "native"
    torch = "torch"
    mindspore = "mindspore"


class Mode(str, Enum):
    """How MindSpore runs the model."""

    graph = "graph"
    pynative = "pynative"


class Quant(str, Enum):
    """What weights are quantized to while they are loaded."""

    int4 = "int4"
    int8 = "int8"
    fp8 = "fp8"


class Kv(str, Enum):
    """The type of the cache."""

    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    int8 = "int8"


def complete_stored(incomplete: str) -> list[str]:
    """Names of stored models that begin with ``incomplete``, for the shell."""
    try:
        from paddock import settings
        from paddock.inference.checkpoint import store

        names = [model.name for model in store.list_models(settings.load())]
    except (PaddockError, OSError):  # must not print into the line that the user is typing
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Names of models that are on this machine."""
    return [*(["demo"] if "demo".startswith(incomplete) else []), *complete_stored(incomplete)]


def complete_known(incomplete: str) -> list[str]:
    """Names of models that can be pulled by a short name."""
    from paddock.inference.checkpoint.store import KNOWN

    return [name for name in KNOWN if name.startswith(incomplete)]


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        help="A stored model or a path to one.  [default: the built-in model]",
        autocompletion=complete_model,
        show_default=False,
    ),
]
MaxNewTokens = Annotated[
    int, typer.Option("--max-new-tokens", "-n", metavar="N", min=1, help="Stop after N tokens.")
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature", "-t", metavar="X", help="0 takes the likeliest.", rich_help_panel=CHOICE
    ),
]
TopK = Annotated[
    int,
    typer.Option(metavar="N", help="Among the N likeliest; 0 is off.", rich_help_panel=CHOICE),
]
TopP = Annotated[
    float,
    typer.Option(metavar="X", help="Among those that make up X; 1 is off.", rich_help_panel=CHOICE),
]
MinP = Annotated[
    float,
    typer.Option(
        metavar="X", help="At least X times the likeliest; 0 is off.", rich_help_panel=CHOICE
    ),
]
RepetitionPenalty = Annotated[
    float,
    typer.Option(
        metavar="X", help="Above 1: fewer tokens seen before; 1 is off.", rich_help_panel=CHOICE
    ),
]
PresencePenalty = Annotated[
    float,
    typer.Option(
        metavar="X", help="-2 to 2: against tokens already answered.", rich_help_panel=CHOICE
    ),
]
FrequencyPenalty = Annotated[
    float,
    typer.Option(metavar="X", help="-2 to 2: the same, for each time.", rich_help_panel=CHOICE),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        help="The same seed gives the same text.  [default: a new one each time]",
        rich_help_panel=CHOICE,
        show_default=False,
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="End before this text; repeatable.", show_default=False),
]
NoPast = Annotated[
    bool,
    typer.Option(
        "--no-past",
        help="Recompute everything for each token (use_past=False), to see what it costs.",
        rich_help_panel=MACHINE,
    ),
]
Speculate = Annotated[
    str | None,
    typer.Option(
        metavar="lookup|MODEL",
        help="Guess several tokens at once, from the text itself or by a smaller model of the same"
        " vocabulary: the same answer, often sooner.",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
DeviceOption = Annotated[
    Device,
    typer.Option(
        "--device", metavar="auto|cpu|cuda|npu", help="Where to run.", rich_help_panel=MACHINE
    ),
]
DtypeOption = Annotated[
    Dtype,
    typer.Option(
        "--dtype",
        metavar="auto|bf16|fp16|fp32",
        help="Type of the weights.",
        rich_help_panel=MACHINE,
    ),
]
RuntimeOption = Annotated[
    RuntimeName,
    typer.Option(
        "--runtime",
        metavar="auto|native|torch|mindspore",
        help="What computes; auto is native on CPUs.",
        rich_help_panel=MACHINE,
    ),
]
MindSporePython = Annotated[
    Path | None,
    typer.Option(
        "--mindspore-python",
        metavar="PATH",
        help="The Python that has MindSpore and MindFormers (mindspore runtime).",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
ModeOption = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        metavar="graph|pynative",
        help="Compiled as a whole, or one operation after the other (mindspore runtime)."
        "  [default: the YAML file's, else graph]",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
QuantOption = Annotated[
    Quant | None,
    typer.Option(
        "--quant",
        metavar="int4|int8|fp8",
        help="Quantize the weights while loading; fp8 on GPUs only.",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
KvOption = Annotated[
    Kv,
    typer.Option(
        "--kv",
        metavar="auto|fp32|fp16|int8",
        help="Type of the cache (native runtime).",
        rich_help_panel=MACHINE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="CPU threads.  [default: one for each core]",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
MaxSeqLen = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Positions to keep room for.  [default: the model's, at most 4096]",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
Tp = Annotated[
    int,
    typer.Option(
        "--tp",
        metavar="N",
        min=1,
        help="Share every layer between N ranks (tensor parallelism, torch).",
        rich_help_panel=RANKS,
    ),
]
Pp = Annotated[
    int,
    typer.Option(
        "--pp",
        metavar="N",
        min=1,
        help="Share out the layers over N stages (pipeline parallelism, torch).",
        rich_help_panel=RANKS,
    ),
]
Nnodes = Annotated[
    int,
    typer.Option(metavar="N", min=1, help="Hosts that lend their cards.", rich_help_panel=RANKS),
]
NodeRank = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="Which of them this is; 0 answers, the others only compute.",
        rich_help_panel=RANKS,
    ),
]
RdzvEndpoint = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where they meet, an address of host 0.",
        rich_help_panel=RANKS,
        show_default=False,
    ),
]
System = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="The system message of the chat.", show_default=False),
]
HostAddress = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Another machine: ssh://user@host:port.  [default: this one]",
        show_default=False,
    ),
]
ContainerName = Annotated[
    str | None,
    typer.Option(
        "--container", metavar="NAME", help="A running container there.", show_default=False
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Its engine: docker, podman, isula, nerdctl.  [default: the first that knows it]",
        show_default=False,
    ),
]
Facts = Annotated[
    Path | None,
    typer.Option(
        "--facts",
        metavar="FILE",
        help="What host --json wrote, or a recording.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No statistics.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Debug = Annotated[
    # Only declared here: main() looks for it before anything is parsed.
    bool, typer.Option("--debug", help="Show the trace of a failure.")
]


def generation(
    *,
    max_new_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    presence_penalty: float,
    frequency_penalty: float,
    seed: int | None,
    stop: list[str] | None,
    no_past: bool,
) -> GenerationParams:
    """The request that the options describe; draws a seed where none was given."""
    from paddock.inference.llm import GenerationParams
    from paddock.inference.runtimes.base import SamplingParams

    return GenerationParams(
        sampling=SamplingParams(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            presence_penalty=presence_penalty,
            frequency_penalty=frequency_penalty,
            seed=new_seed() if seed is None else seed,
        ),
        max_new_tokens=max_new_tokens,
        stop=tuple(stop or ()),
        use_past=not no_past,
    )


def ranks(
    tp: int, pp: int, nnodes: int = 1, node_rank: int = 0, rdzv_endpoint: str | None = None
) -> dict[str, Any]:
    """The options of several ranks, without those that ask for one."""
    given = {"tp": tp, "pp": pp, "nnodes": nnodes, "node_rank": node_rank}
    alone = {"tp": 1, "pp": 1, "nnodes": 1, "node_rank": 0}
    found: dict[str, Any] = {name: n for name, n in given.items() if n != alone[name]}
    return found if rdzv_endpoint is None else {**found, "rdzv_endpoint": rdzv_endpoint}


def new_seed() -> int:
    """A seed short enough to type again."""
    import secrets

    return secrets.randbelow(10**6)


def of_mindspore(
    runtime: RuntimeName, python: Path | None, mode: Mode | None, no_past: bool
) -> dict[str, Any]:
    """What only the MindSpore runtime is asked for.

    Its model is another one without ``use_past``; the other runtimes leave that to each request
    and refuse the rest by name.
    """
    options: dict[str, Any] = {"python": python, "mode": mode.value if mode else None}
    if runtime is RuntimeName.mindspore and no_past:
        options["use_past"] = False
    return {key: value for key, value in options.items() if value is not None}


def open_model(
    model: str | None,
    *,
    device: Device = Device.auto,
    runtime: RuntimeName = RuntimeName.auto,
    dtype: Dtype = Dtype.auto,
    quant: Quant | None = None,
    kv: Kv = Kv.auto,
    threads: int | None = None,
    max_seq_len: int | None = None,
    speculate: str | None = None,
    ranks: dict[str, Any] | None = None,
    no_past: bool = False,
    mindspore_python: Path | None = None,
    mode: Mode | None = None,
) -> LLM:
    """The model that the options name, opened while a terminal shows that something happens."""
    import warnings

    from paddock import settings
    from paddock.cli import render

    with (
        warnings.catch_warnings(record=True) as said,
        render.waiting(f"opening {model or 'the built-in model'}"),
    ):
        from paddock.inference.llm import LLM

        configured = settings.load()
        llm = LLM.open(
            model,
            settings=configured,
            runtime=runtime.value,
            quant=quant.value if quant else None,
            device=device.value,
            dtype=dtype.value,
            kv=None if kv is Kv.auto else kv.value,
            max_seq_len=max_seq_len,
            max_batch=1,
            threads=threads or configured.threads,
            speculate=speculate,
            **(ranks or {}),
            **of_mindspore(runtime, mindspore_python, mode, no_past),
        )
    for warning in said:
        if warning.category is UserWarning:
            render.line(f"note: {warning.message}")
    return llm
