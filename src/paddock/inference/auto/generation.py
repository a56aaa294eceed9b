"""From MindFormers' generation arguments to the engine's requests, with MindFormers' lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from paddock.errors import GenerationError, PromptTooLong, UsageError, nearest
from paddock.inference.auto import notice
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.base import SamplingParams

Ids = npt.NDArray[np.int32]
"""Token ids of one text, one dimension."""


@dataclass(frozen=True, slots=True)
class Options:
    """Every argument of ``generate``; names and defaults of MindFormers' GenerationConfig."""

    max_length: int = 20
    max_new_tokens: int | None = None
    do_sample: bool = False
    use_past: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | Sequence[int] | None = None
    num_beams: int = 1
    encoder_repetition_penalty: float = 1.0
    renormalize_logits: bool = False

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        if self.eos_token_id is None:
            return ()
        return (
            tuple(self.eos_token_id)
            if isinstance(self.eos_token_id, Sequence)
            else (self.eos_token_id,)
        )

    def sampling(self, seed: int) -> SamplingParams:
        """As in MindFormers, top_k and top_p count only with ``do_sample``; 0 or None is off."""
        if not self.do_sample:
            return SamplingParams(repetition_penalty=self.repetition_penalty)
        return SamplingParams(
            temperature=self.temperature,
            top_k=self.top_k or 0,
            top_p=min(self.top_p, 1.0) if self.top_p is not None else 1.0,
            repetition_penalty=self.repetition_penalty,
            seed=seed,
        )


OPTIONS = tuple(field.name for field in fields(Options))


def options(config: Mapping[str, Any], given: Mapping[str, Any]) -> Options:
    """``given`` arguments over those of the model's ``config`` over the defaults.

    None means "not given". Raises UsageError for an unknown argument or one that cannot be
    honoured.
    """
    for name in given:
        if name not in OPTIONS:
            raise UsageError(f"generate has no argument {name!r}{nearest(name, OPTIONS)}")
    values = {name: config[name] for name in OPTIONS if config.get(name) is not None}
    # max_decode_length is max_length's name in a configuration, unless that has both.
    if "max_length" not in values and config.get("max_decode_length") is not None:
        values["max_length"] = config["max_decode_length"]
    values |= {name: value for name, value in given.items() if value is not None}
    result = Options(**values)
    if result.num_beams != 1:
        raise UsageError(f"num_beams is {result.num_beams}; there is no beam search here")
    if result.encoder_repetition_penalty != 1:
        raise UsageError(
            "encoder_repetition_penalty is not supported (nor does MindFormers 1.0 apply it)"
        )
    return result


def rows(input_ids: Any, pad: int | None) -> list[list[int]]:
    """Prompts without their padding, from a flat list, a list of lists or an array.

    As in MindFormers, everything after a row's last token that is not ``pad`` is padding; no
    ``pad`` means 0. Rows may differ in length. Raises GenerationError for a row of nothing but
    padding and UsageError for what is no list of whole numbers.
    """
    given = input_ids.tolist() if hasattr(input_ids, "tolist") else input_ids
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence) or not given:
        raise UsageError(
            f"input_ids is {type(input_ids).__name__}", hint="give token ids: tokenizer(text)"
        )
    nested = given if hasattr(given[0], "__len__") else [given]
    result = []
    for number, row in enumerate(nested):
        ids = np.asarray(row)
        if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
            raise UsageError("input_ids must be whole numbers in one or two dimensions")
        kept = np.flatnonzero(ids != (pad or 0))
        if not kept.size:
            raise GenerationError(f"row {number} of input_ids is empty or nothing but padding")
        result.append([int(token) for token in ids[: kept[-1] + 1]])
    return result


def requests(
    prompts: Sequence[Sequence[int]], chosen: Options, seed: int, seq_length: int, explicit: bool
) -> list[Request]:
    """The engine's requests.

    As in MindFormers, a text ends at ``max_length`` tokens, prompt included;
    ``max_new_tokens`` sets that to the longest prompt's length plus itself, so shorter prompts of
    the batch get longer answers; ``seq_length`` bounds both (said once if ``explicit``ly more was
    asked for). Raises PromptTooLong if the longest prompt leaves no room.
    """
    longest = max(map(len, prompts))
    end = chosen.max_length
    if chosen.max_new_tokens is not None:
        end = longest + chosen.max_new_tokens
    if end > seq_length:
        if explicit:
            notice.once(f"max_length {end} is more than the model's seq_length {seq_length}")
        end = seq_length
    if longest >= end:
        raise PromptTooLong(
            f"the prompt has {longest} tokens and max_length, which counts them, is {end}",
            hint="raise max_length, or seq_length if that bounds it",
        )
    sampling = chosen.sampling(seed)
    return [
        Request(prompt, sampling, end - len(prompt), chosen.stop_ids, use_past=chosen.use_past)
        for prompt in prompts
    ]
