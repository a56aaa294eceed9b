"""LLM: what a model folder becomes, and prompts of every kind."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from llamas import greedy, saved
from paddock.errors import ModelNotFound, TokenizerError, UsageError
from paddock.inference.llm import LLM, GenerationParams
from paddock.inference.runtimes.base import SamplingParams
from paddock.settings import load

PROMPT = "One two, 好 🙂"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    path = tmp_path_factory.mktemp("model")
    saved(path, "gqa", vocab_size=640)
    shutil.copy(small_model, path / "tokenizer.model")
    return path


@pytest.fixture(scope="module")
def llm(folder: Path) -> LLM:
    return LLM.open(folder, device="cpu", dtype="fp32")


def test_streaming_and_generating_say_the_same(llm: LLM) -> None:
    params = GenerationParams(max_new_tokens=40)
    events = list(llm.stream(PROMPT, params))
    whole = llm.generate([PROMPT], params)[0]
    assert "".join(event.text for event in events) == whole.text
    assert tuple(event.token for event in events) == whole.tokens
    assert whole.prompt_tokens == len(llm.ids(PROMPT))
    assert 0 <= whole.ttft_s <= whole.total_s


def test_text_is_the_rest_of_the_prompt_and_ids_are_taken_as_they_are(llm: LLM) -> None:
    params = GenerationParams(max_new_tokens=30)
    whole = llm.generate([PROMPT], params)[0]
    ids = llm.ids(PROMPT)
    assert ids[0] == llm.config.bos_id
    assert llm.generate([ids], params)[0].tokens == whole.tokens
    answer = [token for token in whole.tokens if token not in llm.config.eos_ids]
    both = llm.tokenizer.decode([*ids, *answer])
    assert both == PROMPT + whole.text


def test_tokens_are_those_of_transformers(llm: LLM, folder: Path) -> None:
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder, dtype="float32").eval()
    params = GenerationParams(max_new_tokens=50, ignore_eos=True)
    assert list(llm.generate([PROMPT], params)[0].tokens) == greedy(model, llm.ids(PROMPT), 50)
    assert llm.config.vocab_size > llm.tokenizer.vocab_size  # rows that nobody may choose


def test_a_seed_gives_the_same_text_alone_and_in_company(llm: LLM) -> None:
    params = GenerationParams(
        SamplingParams(temperature=1.5, top_p=0.95, seed=7), max_new_tokens=30, ignore_eos=True
    )
    others = GenerationParams(replace(params.sampling, seed=8), max_new_tokens=30, ignore_eos=True)
    alone = llm.generate([PROMPT], params)[0]
    together = llm.generate(["x", PROMPT, "yy"], params)
    assert together[1].tokens == alone.tokens
    assert llm.generate([PROMPT], others)[0].tokens != alone.tokens


def test_messages_become_the_template_and_the_answer_stands_alone(llm: LLM) -> None:
    messages = [{"role": "user", "content": "One </s> two"}]
    ids = llm.ids(messages)
    assert ids == llm.template.encode(messages, llm.tokenizer)
    assert ids.count(llm.config.eos_ids[0]) == 0
    answer = llm.generate([messages], GenerationParams(max_new_tokens=5))[0]
    kept = [token for token in answer.tokens if token not in llm.config.eos_ids]
    assert answer.text == llm.tokenizer.decode(kept)


@pytest.mark.parametrize("stop_at", [3, 10])
def test_a_stop_string_from_the_answer_cuts_it_there(llm: LLM, stop_at: int) -> None:
    params = GenerationParams(max_new_tokens=40, ignore_eos=True)
    text = llm.generate([PROMPT], params)[0].text
    stop = text[stop_at : stop_at + 4]
    cut = llm.generate([PROMPT], replace(params, stop=(stop,)))[0]
    assert cut.text == text[: text.find(stop)]
    assert cut.finish == "stop"


@pytest.mark.parametrize("temperature", [0.0, 1.2])
def test_speculation_changes_the_speed_and_not_the_text(
    llm: LLM, folder: Path, temperature: float
) -> None:
    sampling = SamplingParams(temperature=temperature, seed=3)
    params = GenerationParams(sampling, max_new_tokens=60, ignore_eos=True)
    prompts = [PROMPT, "One two, One two, One two, One"]
    plain = llm.generate(prompts, params)
    assert plain[0].acceptance_rate is None
    for speculate in ("lookup", folder, LLM.open(folder, device="cpu", dtype="fp32")):
        other = LLM.open(folder, device="cpu", dtype="fp32", speculate=speculate)
        guessed = other.generate(prompts, params)
        assert [a.tokens for a in guessed] == [a.tokens for a in plain]
        assert [a.text for a in guessed] == [a.text for a in plain]
        if speculate != "lookup":
            assert [a.acceptance_rate for a in guessed] == [1.0, 1.0]
        off = replace(params, speculate=False)
        assert other.generate(prompts[:1], off)[0].acceptance_rate is None
        other.close()


def test_a_model_of_another_vocabulary_cannot_guess(folder: Path) -> None:
    with pytest.raises(UsageError, match="its vocabulary is another"):
        LLM.open(folder, speculate="demo")
    with pytest.raises(ModelNotFound, match="nosuch"):
        LLM.open(folder, speculate="nosuch")


def test_several_answers_stand_beside_each_other(llm: LLM) -> None:
    params = GenerationParams(
        SamplingParams(temperature=1.2, seed=3), max_new_tokens=12, ignore_eos=True, logprobs=2
    )
    both = llm.generate([PROMPT, "x"], replace(params, n=3))
    assert [answer.index for answer in both] == [0, 1, 2, 0, 1, 2]
    for answer in both:
        seed = replace(params.sampling, seed=3 + answer.index)
        prompt = PROMPT if answer in both[:3] else "x"
        alone = llm.generate([prompt], replace(params, sampling=seed))[0]
        assert alone.tokens == answer.tokens
        assert [choice.token for choice in answer.choices] == list(answer.tokens)
        assert all(len(choice.top) == 2 for choice in answer.choices)
    assert llm.generate([PROMPT], replace(params, logprobs=None))[0].choices == ()


def test_the_completion_names_the_stop_string(llm: LLM) -> None:
    params = GenerationParams(max_new_tokens=40, ignore_eos=True)
    text = llm.generate([PROMPT], params)[0].text
    cut = llm.generate([PROMPT], replace(params, stop=("nothing of it", text[5:9])))[0]
    assert cut.stop == text[5:9]


def test_a_vocabulary_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    saved(tmp_path, "gqa", vocab_size=320)
    shutil.copy(folder / "tokenizer.model", tmp_path)
    with pytest.raises(TokenizerError, match="knows 600 tokens, the model 320"):
        LLM.open(tmp_path)


def test_unknown_models_and_options_are_refused(folder: Path, tmp_path: Path) -> None:
    settings = load(environ={"PADDOCK_HOME": str(tmp_path), "HOME": str(tmp_path)})
    with pytest.raises(ModelNotFound, match="llama2-7b"):
        LLM.open("llama2-7b", settings=settings)
    for wrong in ({"max_seq_len": 0}, {"max_seq_len": 99999}, {"threads": 0}, {"max_batch": 0}):
        with pytest.raises(UsageError):
            LLM.open(folder, **wrong)
    with pytest.raises(UsageError, match="cache"):
        LLM.open(folder, cache="round")
