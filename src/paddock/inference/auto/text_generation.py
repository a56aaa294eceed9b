"""``pipeline``: from text to text in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paddock.errors import UsageError, nearest
from paddock.inference.auto.classes import AutoModel, AutoTokenizer
from paddock.inference.auto.generation import OPTIONS
from paddock.inference.auto.model import LlamaForCausalLM, Model
from paddock.inference.auto.tokenizer import LlamaTokenizer

TASKS = ("text_generation",)
_MODEL_KEYS = ("use_past", "seq_length")
_CALL = (*OPTIONS, "seed", "streamer", "add_special_tokens", "keys")


class TextGenerationPipeline:
    """Continues texts. ``defaults`` are arguments of ``generate`` that every call starts from."""

    return_name = "text_generation"

    def __init__(
        self,
        model: str | LlamaForCausalLM | Model,
        tokenizer: LlamaTokenizer | None = None,
        batch_size: int | None = None,
        **defaults: Any,
    ) -> None:
        self.model = model
        keys = {key: defaults.pop(key) for key in _MODEL_KEYS if key in defaults}
        if isinstance(model, str):
            tokenizer = tokenizer or AutoTokenizer.from_pretrained(model)
            if batch_size is not None:
                keys["batch_size"] = batch_size
            network: Any = AutoModel.from_pretrained(model, **keys)
        else:
            network = model.predict_network if isinstance(model, Model) else model
            if unusable := sorted(keys.keys() - {"use_past"}):
                raise UsageError(
                    f"{unusable[0]} is fixed in a model object", hint="set it in its configuration"
                )
            defaults = {**keys, **defaults}
        if not isinstance(network, LlamaForCausalLM):
            raise UsageError(
                f"model is {type(model).__name__}", hint="give a name, a path or a LlamaForCausalLM"
            )
        if tokenizer is None:
            raise UsageError("a pipeline with a model object needs tokenizer=…")
        _check(defaults)
        self.network = network
        self.tokenizer = tokenizer
        self.batch_size = batch_size or network.config["batch_size"]
        self._defaults = defaults

    def __call__(
        self,
        inputs: str | dict[str, str] | Sequence[str],
        batch_size: int | None = None,
        **options: Any,
    ) -> list[dict[str, list[str]]]:
        """``[{"text_generation_text": [text]}]`` for a text; the text repeats its prompt.

        A list is run ``batch_size`` texts at a time (the model's, 1, unless given) and each of
        these batches gives one dictionary with as many texts. ``options`` are arguments of
        ``generate`` and ``add_special_tokens``; special tokens are not in the texts.
        """
        _check(options)
        merged = {**self._defaults, **options}
        size = batch_size or self.batch_size
        if isinstance(inputs, (list, tuple)):
            batches = [list(inputs[i : i + size]) for i in range(0, len(inputs), size)]
        else:
            batches = [[inputs]]
        return [self._run(batch, **merged) for batch in batches]

    def _run(
        self, texts: list[Any], add_special_tokens: bool = True, keys: Any = None, **options: Any
    ) -> dict[str, list[str]]:
        field = (keys or {}).get("src_language", "text")
        plain = [text[field] if isinstance(text, dict) else text for text in texts]
        # Unpadded: the model takes rows of any lengths, and a tokenizer may have no padding token.
        ids = self.tokenizer(plain, add_special_tokens=add_special_tokens)["input_ids"]
        outputs = self.network.generate(ids, **options)
        answers = [str(self.tokenizer.decode(row, skip_special_tokens=True)) for row in outputs]
        return {f"{self.return_name}_text": answers}


def pipeline(
    task: str | None = None,
    model: str | LlamaForCausalLM | Model | None = None,
    tokenizer: LlamaTokenizer | None = None,
    image_processor: None = None,
    audio_processor: None = None,
    backend: str = "ms",
    **options: Any,
) -> TextGenerationPipeline:
    """A pipeline for ``task``, which can only be ``text_generation``.

    ``model`` is a name, a path or an object; objects need their ``tokenizer``. ``options`` are
    ``batch_size`` and, for a name, ``use_past`` and ``seq_length``; the others become defaults of
    every call. Raises UsageError for an unknown task, backend or option.
    """
    if task not in TASKS:
        raise UsageError(
            f"no task {task!r}{nearest(str(task), TASKS)}", hint=f"use {' or '.join(TASKS)}"
        )
    if backend != "ms":
        raise UsageError(f"backend is {backend!r}", hint="leave it out: there is one backend")
    if image_processor is not None or audio_processor is not None:
        raise UsageError("text_generation takes no image_processor or audio_processor")
    if model is None:
        raise UsageError("pipeline needs a model", hint="model='llama2_7b', a path or an object")
    return TextGenerationPipeline(model, tokenizer, **options)


def _check(options: dict[str, Any]) -> None:
    for name in options:
        if name not in _CALL:
            raise UsageError(f"the pipeline has no option {name!r}{nearest(name, _CALL)}")
