"""Speculation on real logits: the text is that of transformers, or of the same seed without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from llamas import is_greedy, prompts, saved
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.options import EngineOptions
from paddock.inference.engine.request import Request
from paddock.inference.engine.speculate.base import Drafter
from paddock.inference.engine.speculate.lookup import LookupDrafter
from paddock.inference.engine.speculate.model import ModelDrafter
from paddock.inference.runtimes.base import SamplingParams
from paddock.inference.runtimes.torch.build import build
from paddock.inference.runtimes.torch.runtime import TorchRuntime

PROMPTS = list(prompts((5, 17, 33, 2)))
LOOPING = [1, *(7, 8, 9, 10, 11) * 6]
NEW = 60


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[LlamaForCausalLM, Path]:
    folder = tmp_path_factory.mktemp("gqa")
    return saved(folder, "gqa"), folder


def runtime(folder: Path, **options: object) -> TorchRuntime:
    return build(open_checkpoint(folder), device="cpu", dtype="fp32", **options)  # type: ignore[arg-type]


def drafter(kind: str, folder: Path, tmp_path: Path) -> Drafter | None:
    if kind == "none":
        return None
    if kind == "lookup":
        return LookupDrafter()
    if kind == "same":
        return ModelDrafter(runtime(folder, cache="paged"))
    model = LlamaForCausalLM.from_pretrained(folder, dtype="float32")
    torch.manual_seed(0)
    with torch.no_grad():  # mostly of the same opinion
        for parameter in model.parameters():
            parameter.mul_(1 + 0.2 * torch.randn(parameter.shape))
    model.save_pretrained(tmp_path)
    return ModelDrafter(runtime(tmp_path))


KINDS = ("lookup", "same", "other")


@pytest.mark.parametrize("cache", ["contiguous", "paged"])
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_text_is_that_of_transformers(
    pair: tuple[LlamaForCausalLM, Path], kind: str, cache: str, tmp_path: Path
) -> None:
    model, folder = pair
    engine = Engine(runtime(folder, cache=cache), drafter=drafter(kind, folder, tmp_path))
    many = [*PROMPTS, LOOPING]
    answers = engine.run([Request(prompt, max_new_tokens=NEW) for prompt in many])
    for prompt, answer in zip(many, answers, strict=True):
        assert len(answer) == NEW
        assert is_greedy(model, prompt, answer)
    stats = engine.stats()
    assert stats.drafted > 0
    if kind == "same":
        assert stats.accepted == stats.drafted
        assert stats.steps < NEW // 3
    if kind == "other":
        assert 0 < stats.accepted < stats.drafted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParams(temperature=1.0, seed=5),
        SamplingParams(temperature=0.7, top_p=0.9, repetition_penalty=1.2, seed=6),
        SamplingParams(temperature=1.3, top_k=20, min_p=0.02, frequency_penalty=0.5, seed=7),
    ],
    ids=str,
)
def test_a_seed_gives_the_same_text_with_speculation(
    pair: tuple[LlamaForCausalLM, Path], kind: str, sampling: SamplingParams, tmp_path: Path
) -> None:
    _, folder = pair
    many = [Request(prompt, sampling, max_new_tokens=NEW) for prompt in (*PROMPTS, LOOPING)]
    without = Engine(runtime(folder)).run(many)
    engine = Engine(runtime(folder), drafter=drafter(kind, folder, tmp_path))
    assert engine.run(many) == without
    if kind == "same":
        assert engine.stats().accepted == engine.stats().drafted > 0


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_log_probabilities_are_those_of_transformers(
    pair: tuple[LlamaForCausalLM, Path], kind: str, tmp_path: Path
) -> None:
    model, folder = pair
    engine = Engine(runtime(folder), drafter=drafter(kind, folder, tmp_path))
    request = Request(LOOPING, max_new_tokens=24, logprobs=5, prompt_logprobs=3)
    events = list(engine.stream([request]))
    text = [*LOOPING, *(event.token for event in events)]
    with torch.no_grad():
        scores = torch.log_softmax(model(torch.tensor([text])).logits[0].double(), -1)
    prompt = events[0].prompt
    assert [choice.token for choice in prompt] == LOOPING[1:]
    for position, choice in enumerate(prompt):
        expected = float(scores[position, choice.token])
        assert choice.logprob == pytest.approx(expected, abs=1e-3)
        assert [token for token, _ in choice.top] == scores[position].topk(3).indices.tolist()
    for position, event in enumerate(events, len(LOOPING) - 1):
        assert event.logprob == pytest.approx(float(scores[position, event.token]), abs=1e-3)
        best = scores[position].topk(5)
        assert [token for token, _ in event.top] == best.indices.tolist()
        assert [x for _, x in event.top] == pytest.approx(best.values.tolist(), abs=1e-3)


def test_preemption_and_shared_prefixes_keep_the_text(
    pair: tuple[LlamaForCausalLM, Path],
) -> None:
    model, folder = pair
    many = [[*LOOPING, *range(20, 60), i] for i in range(6)]
    target = runtime(folder, cache="paged", max_seq_len=160, max_batch=4)
    # A third of the pages that the longest answers would take.
    target.limits = replace(target.limits, n_pages=9)
    engine = Engine(target, options=EngineOptions(prefill_tokens=48))
    answers = engine.run([Request(prompt, max_new_tokens=NEW) for prompt in many])
    for prompt, answer in zip(many, answers, strict=True):
        assert is_greedy(model, prompt, answer)
    assert engine.stats().preemptions > 0
    assert engine.stats().cached_tokens > 0


def test_alone_and_among_31_others(pair: tuple[LlamaForCausalLM, Path]) -> None:
    """Products of 32 rows may round otherwise than of one: the text must not depend on it here.

    Where two tokens are equally likely to the last bit or two, it could with this runtime.
    """
    model, folder = pair
    target = runtime(folder, cache="paged", max_batch=32)
    many = [list(prompt) for prompt in prompts(tuple(range(2, 34)), seed=1)]
    together = Engine(target).run([Request(prompt, max_new_tokens=24) for prompt in many])
    for at in (0, 13, 31):
        assert Engine(target).run([Request(many[at], max_new_tokens=24)]) == [together[at]]
    assert all(is_greedy(model, p, a) for p, a in zip(many, together, strict=True))
