"""``LlamaForCausalLM`` and ``Model``: MindFormers' model classes over Paddock's engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from paddock import settings
from paddock.errors import CheckpointError, RuntimeLost, UsageError
from paddock.inference.auto import context, generation, notice
from paddock.inference.auto.generation import Ids
from paddock.inference.auto.keys import DTYPES
from paddock.inference.auto.llama_config import LlamaConfig
from paddock.inference.auto.weights import Weights, open_weights
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.base import Runtime
from paddock.inference.runtimes.load import choose_runtime, load_runtime

MOST_TOGETHER = 8
"""Texts computed together unless ``batch_size`` says more; others of a call wait for their turn."""


class Streamer(Protocol):
    """What ``generate`` tells of its progress, as MindFormers' streamers expect it."""

    def put(self, value: Any) -> None:
        """First the prompts (2-D, padding as it was given), then each step's new tokens.

        One prompt gives ``[token]``; several give a list for each, empty where a text has ended.
        """
        ...

    def end(self) -> None:
        """Nothing more comes."""
        ...


class LlamaForCausalLM:
    """A Llama of a ``LlamaConfig``, which it copies.

    Weights are looked for at once and read when they are first needed. ``runtime``, ``device``
    and ``dtype`` are Paddock's own; None follows ``set_context`` and ``compute_dtype``. Raises
    ModelNotFound where there are no weights. With an empty ``checkpoint_name_or_path`` they are
    expected from ``load_param_into_net``; they are never random.
    """

    def __init__(
        self,
        config: LlamaConfig,
        *,
        runtime: str = "auto",
        device: str | None = None,
        dtype: str | None = None,
    ) -> None:
        if not isinstance(config, LlamaConfig):
            raise UsageError(
                f"LlamaForCausalLM got {type(config).__name__}, not a LlamaConfig",
                hint="use AutoModel.from_pretrained for names and AutoModel.from_config for YAML",
            )
        self.config = config.copy()
        self._runtime_name = runtime
        self._device = device
        self._dtype = dtype
        self.weights: Weights = open_weights(self.config)
        self._engine: Engine | None = None
        self.training = False

    @classmethod
    def from_pretrained(cls, name_or_path: str, **values: Any) -> LlamaForCausalLM:
        """The model of a name or path; see ``AutoModel.from_pretrained``."""
        from paddock.inference.auto.classes import AutoModel

        return AutoModel.from_pretrained(name_or_path, **values)

    def set_train(self, mode: bool = True) -> LlamaForCausalLM:
        """Only ``set_train(False)``: models are run here, not trained."""
        if mode:
            raise UsageError("Paddock does not train models", hint="call set_train(False)")
        return self

    def generate(
        self,
        input_ids: Any,
        generation_config: Mapping[str, Any] | None = None,
        logits_processor: None = None,
        streamer: Streamer | None = None,
        seed: int | None = None,
        **arguments: Any,
    ) -> list[Ids]:
        """Prompts with their continuations: an int32 array for each.

        ``input_ids`` is a flat list, a list of lists or an array; padding on the right is taken
        off. ``arguments`` are those of ``generation.Options`` and replace ``generation_config``,
        which replaces the model's configuration. A text ends with its ``eos_token_id`` (which is
        returned) or at ``max_length`` tokens, prompt included; see ``generation.requests``.
        Raises UsageError for an unknown argument, PromptTooLong, and what loading weights raises.
        """
        if logits_processor is not None:
            raise UsageError("logits_processor is not supported", hint="leave it out")
        given = {**(generation_config or {}), **arguments}
        chosen = generation.options(self.config, given)
        prompts = generation.rows(input_ids, chosen.pad_token_id)
        explicit = any(given.get(name) is not None for name in ("max_length", "max_new_tokens"))
        requests = generation.requests(
            prompts, chosen, seed or 0, self.config["seq_length"], explicit
        )
        engine = self._ready(len(requests))
        try:
            if streamer is None:
                answers = engine.run(requests)
            else:
                streamer.put(_rectangle(input_ids, prompts, chosen.pad_token_id or 0))
                answers = _streamed(engine, requests, streamer.put)
                streamer.end()
        except RuntimeLost:
            self.close()  # so that the next call loads the model again
            raise
        return [
            np.asarray([*prompt, *answer], np.int32)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]

    @property
    def runtime(self) -> Runtime:
        """What runs the model; loads the weights if that was not done."""
        return self._ready(1).runtime

    def close(self) -> None:
        """Frees memory and device; the next use loads the weights again."""
        if self._engine is not None:
            self._engine.runtime.close()
            self._engine = None

    def _ready(self, rows: int) -> Engine:
        """The engine, with the weights loaded and room for ``rows`` texts at once, at most 8."""
        if self._runtime_name == "mindspore":
            # Every row of MindFormers' rectangle is computed, used or not.
            return self._opened(min(rows, MOST_TOGETHER), self._in_mindspore)
        device = context.current_device(self._device)
        self._device = device
        # A CPU's cache takes memory only as it is used; elsewhere room is paid for in advance.
        together = MOST_TOGETHER if device == "cpu" else min(rows, MOST_TOGETHER)
        return self._opened(together, self._in_paddock)

    def _opened(self, together: int, options: Callable[[], dict[str, Any]]) -> Engine:
        wanted = max(together, self.config["batch_size"])
        if self._engine is not None and self._engine.runtime.limits.max_batch < wanted:
            self.close()
        if self._engine is None:
            if missing := self.weights.missing():
                raise CheckpointError(
                    f"the model has no weights for {len(missing)} tensors, first {missing[0]}",
                    hint="set checkpoint_name_or_path or call load_param_into_net",
                )
            runtime = load_runtime(
                self.weights,
                self._runtime_name,
                max_seq_len=self.config["seq_length"],
                max_batch=wanted,
                threads=settings.load().threads,
                **options(),
            )
            self._engine = Engine(runtime)
        return self._engine

    def _in_paddock(self) -> dict[str, Any]:
        assert self._device is not None
        return {"device": self._device, "dtype": self._dtype or self._computed_in(self._device)}

    def _in_mindspore(self) -> dict[str, Any]:
        """Keys that were set, those that only MindFormers has a use for among them."""
        device, mode = context.for_mindspore(self._device)
        given = {key: self.config[key] for key in sorted(self.config.given)}
        own = {"device": device, "mode": mode, "dtype": self._dtype or "auto"}
        return {**own, "values": given, "use_past": self.config["use_past"]}

    def _computed_in(self, device: str) -> str:
        """``compute_dtype`` if it was set and the device computes in it at full speed.

        Else ``auto``: the stored type, or what suits the device.
        """
        if "compute_dtype" not in self.config.given:
            return "auto"
        wanted = DTYPES[self.config["compute_dtype"]]
        if choose_runtime(self.weights.config(), self._runtime_name, device) == "native":
            return wanted  # which holds the weights in it and sums in fp32
        from paddock.inference.runtimes.torch import devices

        native = devices.select(device).native
        if wanted in native:
            return wanted
        notice.once(
            f"compute_dtype {self.config['compute_dtype']} is slow on {device}, which computes in"
            f" {' and '.join(native)}; the type is chosen automatically (dtype=… of"
            " AutoModel.from_config insists)"
        )
        return "auto"


class Model:
    """``mindspore.train.Model`` around a network, as far as inference uses it."""

    def __init__(self, network: LlamaForCausalLM) -> None:
        self.predict_network = network

    def infer_predict_layout(self, *predict_data: Any) -> dict[str, Any]:
        """The layout of weights over devices: empty, since there is one device."""
        return {}


def _streamed(
    engine: Engine, requests: Sequence[Request], put: Callable[[Any], None]
) -> list[list[int]]:
    """Runs ``requests`` and hands out the tokens of each step together."""
    answers: list[list[int]] = [[] for _ in requests]
    step: list[list[int]] = [[] for _ in requests]
    last = -1

    def hand_out() -> None:
        put(list(step[0]) if len(step) == 1 else [list(tokens) for tokens in step])
        for tokens in step:
            tokens.clear()

    for event in engine.stream(requests):
        if event.request <= last:  # a step's events come in the order of the requests
            hand_out()
        last = event.request
        assert event.token is not None  # nobody cancels, nothing is constrained
        step[event.request].append(event.token)
        answers[event.request].append(event.token)
    hand_out()
    return answers


def _rectangle(given: Any, prompts: Sequence[Sequence[int]], pad: int) -> npt.NDArray[np.int32]:
    """The prompts as one array: as they were given if they are one, else padded."""
    if len({len(row) for row in given} if hasattr(given[0], "__len__") else (1,)) == 1:
        return np.atleast_2d(np.asarray(given, np.int32))
    width = max(map(len, prompts))
    return np.array([[*prompt, *[pad] * (width - len(prompt))] for prompt in prompts], np.int32)
