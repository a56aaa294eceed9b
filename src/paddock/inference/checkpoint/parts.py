"""How a model is cut into parts for several ranks, and the shape of one part."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from paddock.errors import UsageError
from paddock.inference.checkpoint.config import ModelConfig

EMBEDDING, HEAD = "tok_embeddings.weight", "output.weight"
_OUTPUTS = ("wq.weight", "wk.weight", "wv.weight", "w1.weight", "w3.weight")
_INPUTS = ("wo.weight", "w2.weight")


@dataclass(frozen=True, slots=True)
class Split:
    """``tp`` ranks share every layer (tensor parallelism), ``pp`` stages share out the layers.

    Rank ``r`` is part ``r % tp`` of stage ``r // tp``, so that the ranks that talk most, those of
    a stage, are neighbours and lie on one host.
    """

    tp: int = 1
    pp: int = 1

    def __post_init__(self) -> None:
        for name in ("tp", "pp"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", hint="use 1 or more")

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return self.tp * self.pp

    def check(self, config: ModelConfig) -> None:
        """Raises UsageError, with the counts that are possible, if the model cannot be cut so."""
        possible = possible_tp(config)
        if self.tp not in possible:
            raise UsageError(
                f"tp is {self.tp}, and a model of {config.n_heads} heads, {config.n_kv_heads}"
                f" key/value heads and a feed-forward width of {config.hidden_dim} cannot be cut"
                " into so many equal parts",
                hint=f"use {_listed(possible)}",
            )
        if self.pp > config.n_layers:
            raise UsageError(
                f"pp is {self.pp}, the model has {config.n_layers} layers",
                hint=f"use 1 to {config.n_layers}",
            )

    def layers(self, stage: int, n_layers: int) -> range:
        """The layers of a stage; where they do not divide, the first stages have one more."""
        each, more = divmod(n_layers, self.pp)
        first = stage * each + min(stage, more)
        return range(first, first + each + (stage < more))


def possible_tp(config: ModelConfig) -> list[int]:
    """Into how many parts every layer can be cut: whole key/value heads with their query heads."""
    return [
        n
        for n in range(1, config.n_kv_heads + 1)
        if config.n_kv_heads % n == 0 and config.hidden_dim % n == 0
    ]


@dataclass(frozen=True, slots=True)
class PartConfig(ModelConfig):
    """The shape of one rank's part: a Llama with fewer heads, rows and layers.

    ``vocab_size`` counts the rows of this part, the whole model's divided and rounded up: the last
    parts may end in rows of zeros. ``first_layer`` is what the whole model calls its layer 0.
    """

    first_layer: int = 0
    has_embedding: bool = True
    has_head: bool = True

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See ModelConfig; without what other stages have."""
        # Named, because a dataclass with slots is a new class, which super() does not know.
        shapes = ModelConfig.shapes(self)
        if not self.has_embedding:
            del shapes[EMBEDDING]
        if not self.has_head:
            del shapes["norm.weight"]
            shapes.pop(HEAD, None)
        return shapes


def part_of(config: ModelConfig, split: Split, rank: int) -> PartConfig:
    """What ``rank`` holds of the model ``config``. Raises UsageError as ``Split.check``."""
    split.check(config)
    layers = split.layers(rank // split.tp, config.n_layers)
    whole = {field.name: getattr(config, field.name) for field in fields(ModelConfig)}
    part = PartConfig(
        **whole,
        first_layer=layers.start,
        has_embedding=layers.start == 0,
        has_head=layers.stop == config.n_layers,
    )
    return replace(
        part,
        n_layers=len(layers),
        n_heads=config.n_heads // split.tp,
        n_kv_heads=config.n_kv_heads // split.tp,
        hidden_dim=config.hidden_dim // split.tp,
        vocab_size=-(-config.vocab_size // split.tp),
        # Over several stages the head is a matrix of its own: the embedding is elsewhere.
        tie_embeddings=config.tie_embeddings and split.pp == 1,
    )


def cut_axis(name: str) -> int | None:
    """Along which axis a weight is cut: 0 its outputs, 1 its inputs, None where all have it."""
    if name in (EMBEDDING, HEAD) or name.endswith(_OUTPUTS):
        return 0
    return 1 if name.endswith(_INPUTS) else None


def _listed(numbers: list[int]) -> str:
    *front, last = map(str, numbers)
    return f"{', '.join(front)} or {last}" if front else last
