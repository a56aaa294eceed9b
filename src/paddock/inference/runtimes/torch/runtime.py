"""The PyTorch runtime: one model, one device, one cache behind the Runtime contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from paddock.errors import GenerationError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Batch, Choice, Limits, SamplingParams, Work
from paddock.inference.runtimes.torch.cache import KVCache
from paddock.inference.runtimes.torch.graphs import GraphedDecoder
from paddock.inference.runtimes.torch.llama import Llama
from paddock.inference.runtimes.torch.sampler import sample


class TorchRuntime:
    """Runs steps of ``model`` with ``cache``; see ``runtimes/base.py`` for the contract.

    ``decoder``, if there is one, computes the steps that have one token per request;
    ``decode_path`` tells how that is done, by a ``graph`` or by ``torch``'s own operations.
    """

    def __init__(
        self,
        model: Llama,
        cache: KVCache,
        limits: Limits,
        dtype: str,
        decoder: GraphedDecoder | None = None,
    ) -> None:
        self.model = model
        self.config: ModelConfig = model.config
        self.cache = cache
        self.limits = limits
        self.dtype = dtype
        self.device = model.cos.device
        self.decode_path = "torch" if decoder is None else "graph"
        self._decoder = decoder

    @torch.inference_mode()
    def step(self, batch: Batch) -> list[Choice]:
        """See Runtime."""
        logits = self._forward(batch)
        return self.choose(batch, logits)

    def choose(self, batch: Batch, logits: Tensor) -> list[Choice]:
        """The choices of a step whose logits are there already."""
        sampling = [item for item in batch.work if item.sampling is not None]
        return sample(logits, sampling) if sampling else []

    @torch.inference_mode()
    def logits(self, batch: Batch, *, everywhere: bool = False) -> Tensor:
        """fp32 logits (S, vocab_size) of the positions chosen after, or of all T positions."""
        return self._forward(batch, everywhere)

    @torch.inference_mode()
    def all_logits(self, tokens: Sequence[int]) -> Tensor:
        """fp32 logits (len(tokens), vocab_size) at every position of one text.

        Overwrites the cache from page 0 on; for perplexity and tests, not beside running requests.
        """
        pages = tuple(range(-(-len(tokens) // self.limits.page_size)))
        batch = Batch((Work(0, tokens, 0, pages, SamplingParams()),))
        return self._forward(batch, everywhere=True)

    def close(self) -> None:
        """See Runtime."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        self.__dict__.pop("model", None)
        self.__dict__.pop("cache", None)

    def _forward(self, batch: Batch, everywhere: bool = False) -> Tensor:
        self._check(batch)
        single = all(len(item.tokens) == 1 for item in batch.work)
        if self._decoder is not None and single and not everywhere:
            return self._decode(self._decoder, batch)
        placed = self.cache.place(batch.work)
        if everywhere:
            placed = replace(placed, sampled=None)
        tokens = [token for item in batch.work for token in item.tokens]
        return self._known(self.model(torch.tensor(tokens, device=self.device), placed, self.cache))

    def _decode(self, decoder: GraphedDecoder, batch: Batch) -> Tensor:
        logits = decoder.step(batch.work)
        wanted = [i for i, item in enumerate(batch.work) if item.sampling is not None]
        return self._known(logits if len(wanted) == len(batch.work) else logits[wanted])

    def _known(self, logits: Tensor) -> Tensor:
        """Without the columns of ids that the tokenizer does not have."""
        return logits[:, : self.limits.vocab_size]

    def _check(self, batch: Batch) -> None:
        if not batch.work:
            raise GenerationError("a step without work")
        if len(batch.work) > self.limits.max_batch:
            raise GenerationError(
                f"{len(batch.work)} requests in a step; the limit is {self.limits.max_batch}"
            )
        for item in batch.work:
            if item.start + len(item.tokens) > self.limits.max_seq_len:
                raise GenerationError(
                    f"request {item.request} reaches position {item.start + len(item.tokens)};"
                    f" the context holds {self.limits.max_seq_len}"
                )
            if (
                item.tokens
                and not 0 <= min(item.tokens) <= max(item.tokens) < self.limits.vocab_size
            ):
                raise GenerationError(
                    f"request {item.request} has a token id outside 0..{self.limits.vocab_size - 1}"
                )
            if item.n_draft or item.logprobs is not None or item.allowed is not None:
                self._check_choices(item)

    def _check_choices(self, item: Work) -> None:
        name = f"request {item.request}"
        if item.sampling is None or not 0 <= item.n_draft < max(1, len(item.tokens)):
            raise GenerationError(f"{name}: {item.n_draft} guesses in {len(item.tokens)} tokens")
        if item.sampling.penalized and len(item.history) != item.start + len(item.tokens):
            raise GenerationError(f"{name}: the history has {len(item.history)} tokens")
        if item.logprobs is not None and item.logprobs < 0:
            raise GenerationError(f"{name} asks for {item.logprobs} log probabilities")
        if item.allowed is not None:
            size = -(-self.limits.vocab_size // 8)
            if item.n_draft or len(item.allowed) != size:
                raise GenerationError(
                    f"{name}: a mask of {len(item.allowed)} bytes and {item.n_draft} guesses;"
                    f" it takes {size} bytes and no guesses"
                )
