"""Checks of how much memory a model needs against what there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Config, Subject

GIB = 2**30
BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
POSITIONS = 4096
"""What Llama 2 was trained for, and so the context that is counted with unless one is given."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes: ``weights`` and ``cache`` in bytes, ``what`` it is, ``where`` that is
    written.
    """

    weights: int
    cache: int
    what: str
    where: str

    @property
    def total(self) -> int:
        """Bytes in all, without what the framework takes for itself."""
        return self.weights + self.cache


def needs(subject: Subject) -> Iterator[Need]:
    """The models that are wished for or configured, as far as their sizes are known."""
    release = subject.catalog.release("model", subject.wish.model) if subject.wish.model else None
    if release is not None and "parameters" in release.facts:
        parameters, layers, width = (
            int(release.facts[name]) for name in ("parameters", "layers", "kv_width")
        )
        cache = 2 * layers * width * POSITIONS * 2
        yield Need(2 * parameters, cache, f"{release.version} in float16", "catalogue of models")
    for config in subject.configs:
        need = _of_config(config)
        if need is not None:
            yield need


def _of_config(config: Config) -> Need | None:
    """What the model of a configuration takes, from its shape.

    Source of the shapes: LlamaConfig of MindFormers, whose feed-forward width is
    ``intermediate_size``, or 8/3 of the hidden size (times ``ffn_dim_multiplier``) rounded up to
    ``multiple_of``. The cache holds ``batch_size`` sequences of ``seq_length``.
    """
    shape = [config.number(k) for k in ("hidden_size", "num_layers", "num_heads", "vocab_size")]
    if None in shape:
        return None
    hidden, layers, heads, vocabulary = (each or 0 for each in shape)
    kv_width = hidden // heads * (config.number("n_kv_heads") or heads)
    multiple = config.number("multiple_of") or 256
    ffn = config.number("intermediate_size")
    if ffn is None:
        try:
            factor = float(config.values.get("ffn_dim_multiplier", 1) or 1)
        except ValueError:
            factor = 1.0
        wide = int(int(2 * 4 * hidden / 3) * factor)
        ffn = multiple * ((wide + multiple - 1) // multiple)
    layer = 2 * hidden * hidden + 2 * hidden * kv_width + 3 * hidden * ffn + 2 * hidden
    parameters = 2 * vocabulary * hidden + layers * layer + hidden
    kind = config.values.get("param_init_type", "float16")
    cached = BYTES.get(config.values.get("compute_dtype", "float16"), 2)
    positions = (config.number("seq_length") or POSITIONS) * (config.number("batch_size") or 1)
    cache = 2 * layers * kv_width * positions * cached if config.on("use_past") else 0
    what = f"{parameters / 1e9:.2f} billion weights in {kind}"
    return Need(parameters * BYTES.get(kind, 2), cache, what, config.where("hidden_size"))


def devices(subject: Subject) -> list[tuple[str, int]]:
    """Names and bytes of what a model could be put on: the chips, the GPUs, or the memory."""
    host = subject.host
    found = [
        (f"NPU {n.npu}", n.device_memory_mb * 2**20)
        for n in subject.ascend.npus
        if n.device_memory_mb
    ]
    found = found or [
        (f"GPU {g.index}", g.memory_total_mb * 2**20)
        for g in (host.nvidia.gpus if host.nvidia else ())
        if g.memory_total_mb
    ]
    memory = min((m for m in (host.memory.total, host.memory.limit) if m), default=0)
    if not found and memory and subject.no_accelerator:
        found = [("main memory", memory)]
    return found


def _said(need: Need) -> str:
    cache = f" and {need.cache / GIB:.1f} GiB of cache" if need.cache else ""
    return f"{need.what}: {need.weights / GIB:.1f} GiB of weights{cache}"


@check
def model_too_large(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A model that is larger than everything there is to put it on."""
    there = devices(subject)
    room = sum(size for _, size in there)
    for need in needs(subject) if there else ():
        if need.total > room:
            fact = (
                f"{_said(need)}; {len(there)} × {there[0][0].split()[0]} have {room / GIB:.1f} GiB"
            )
            if there[0][0] == "main memory":
                fact = f"{_said(need)}; the machine has {room / GIB:.1f} GiB of memory"
            yield Evidence(fact, need.where)


@check
def model_needs_several(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A model that no single device holds, but all of them together do."""
    there = devices(subject)
    room = sum(size for _, size in there)
    for need in needs(subject) if len(there) > 1 else ():
        largest = max(size for _, size in there)
        if largest < need.total <= room:
            count = -(-need.total // largest)
            while 2 ** (count - 1).bit_length() != count:  # heads are divided by powers of two
                count += 1
            fact = f"{_said(need)}; one device has {largest / GIB:.1f} GiB, {count} of them hold it"
            yield Evidence(fact, need.where, {"count": str(count)})
