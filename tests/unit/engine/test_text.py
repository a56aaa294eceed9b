"""The text of an answer: whole characters, no stop string, not even its head."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.engine.text import TextStream
from paddock.inference.runtimes.base import Limits
from paddock.inference.runtimes.scripted import ScriptedRuntime
from paddock.inference.tokenizer.base import Tokenizer
from paddock.inference.tokenizer.sentencepiece import SentencePieceTokenizer

ANSWER = "Grüße, 你好 🙂! One two. STOP Two </end> three"


@pytest.fixture(scope="module")
def small(small_model: Path) -> Tokenizer:
    return SentencePieceTokenizer(small_model)


def stream(tokenizer: Tokenizer, text: str, stop: tuple[str, ...], fresh: bool = True) -> list[str]:
    out = TextStream(tokenizer, stop, fresh=fresh)
    parts = [out.push(token) for token in tokenizer.encode(text)]
    return [*parts, out.flush()]


def test_without_stops_the_parts_make_the_text(small: Tokenizer) -> None:
    parts = stream(small, ANSWER, ())
    assert "".join(parts) == ANSWER
    assert not any("\ufffd" in part for part in parts)


@pytest.mark.parametrize("stop", [("STOP",), ("</end>", "STOP"), ("🙂! One",), ("three",), ("G",)])
def test_text_ends_before_the_first_stop_string(small: Tokenizer, stop: tuple[str, ...]) -> None:
    cut = min(ANSWER.find(text) for text in stop)
    parts = stream(small, ANSWER, stop)
    assert "".join(parts) == ANSWER[:cut]


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="ab <>/🙂好\n", max_size=40),
    st.lists(st.text(alphabet="ab <>/🙂好\n", min_size=1, max_size=6), max_size=4).map(tuple),
)
def test_nothing_of_a_stop_string_ever_shows(
    small: Tokenizer, text: str, stop: tuple[str, ...]
) -> None:
    whole = small.decode(small.encode(text))
    # The string that is complete first wins, as if every character came alone.
    found = [(whole.find(one) + len(one), whole.find(one)) for one in stop if one in whole]
    expected = whole[: min(found)[1]] if found else whole
    shown = ""
    for part in stream(small, text, stop):
        shown += part
        assert expected.startswith(shown)
    assert shown == expected


def test_a_rest_keeps_the_space_that_a_fresh_text_drops(small: Tokenizer) -> None:
    assert "".join(stream(small, "cat", (), fresh=False)) == " cat"
    assert "".join(stream(small, "cat", (), fresh=True)) == "cat"


def play(tokenizer: Tokenizer, answer: list[int], **options: object) -> tuple[str, list[int], str]:
    """What the engine makes of a runtime that says ``answer`` after a prompt of one token."""
    limits = Limits(tokenizer.vocab_size, 256, 256, 1, 1)
    runtime = ScriptedRuntime(lambda text: answer[len(text) - 1], limits)
    request = Request([1], max_new_tokens=len(answer), fresh=True, **options)  # type: ignore[arg-type]
    events = list(Engine(runtime, tokenizer).stream([request]))
    assert all(event.finish is None for event in events[:-1])
    text = "".join(event.text for event in events)
    return text, [event.token for event in events], events[-1].finish or ""


def test_the_engine_ends_at_a_stop_string_and_computes_no_further(small: Tokenizer) -> None:
    ids = small.encode(ANSWER)
    text, tokens, finish = play(small, ids, stop=("STOP",))
    assert (text, finish) == (ANSWER[: ANSWER.find("STOP")], "stop")
    assert len(tokens) < len(ids)


def test_the_engine_ends_at_a_stop_id_and_does_not_show_it(small: Tokenizer) -> None:
    ids = [*small.encode("One two."), 2, *small.encode("never")]
    text, tokens, finish = play(small, ids, stop_ids=(2,))
    assert (text, finish, tokens[-1]) == ("One two.", "stop", 2)


def test_the_last_characters_come_with_the_last_event(small: Tokenizer) -> None:
    # "ST" could be the head of "STOP" until the answer is over.
    text, _, finish = play(small, small.encode("One ST"), stop=("STOP",))
    assert (text, finish) == ("One ST", "length")


def test_half_a_character_at_the_end_becomes_a_replacement(small: Tokenizer) -> None:
    half = small.encode("𝄞")[:-1]
    text, _, _ = play(small, half)
    assert text.endswith("\ufffd")
