"""``paddock chat``, piped; what happens on a terminal is in test_cli_terminal.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from paddock import LLM, GenerationParams, settings
from paddock.cli.chat import Conversation
from paddock.errors import PromptTooLong


def test_piped_lines_are_answered_in_turn(paddock: Callable[..., Any]) -> None:
    result = paddock(
        "chat", "-n", "6", "--seed", "1", stdin="Who are you?\n\nAnd now?\n/quit\nno\n"
    )
    assert result.code == 0
    assert result.out.count("\n") >= 2
    assert result.err.count("tokens/s") == 2
    assert "> " not in result.out  # no prompt into a pipe


def test_json_lines_and_reset(paddock: Callable[..., Any]) -> None:
    lines = "Who are you?\nWho are you?\n/reset\nWho are you?\n/system Be brief.\nWho are you?\n"
    result = paddock("chat", "-n", "6", "-t", "0", "--json", stdin=lines)
    first, second, third, told = (json.loads(line) for line in result.out.splitlines())
    assert second["prompt_tokens"] > first["prompt_tokens"]  # it remembers
    assert third["prompt_tokens"] == first["prompt_tokens"]  # and forgets
    assert third["text"] == first["text"]
    assert told["prompt_tokens"] > first["prompt_tokens"]


def test_unknown_commands_and_slashes(paddock: Callable[..., Any]) -> None:
    result = paddock("chat", stdin="/hlep\n")
    assert result.code == 2
    assert result.err == "error: no such command: /hlep; did you mean '/help'? (see /help)\n"
    asked = paddock("chat", "-n", "1", "--json", stdin="//hlep\n")
    assert json.loads(asked.out)["prompt"] == "/hlep"


def test_a_full_context_forgets_the_oldest_turns(capsys: pytest.CaptureFixture[str]) -> None:
    llm = LLM.open(settings=settings.load(), max_seq_len=96, max_batch=1)
    talk = Conversation(llm, GenerationParams(max_new_tokens=8), None, quiet=True)
    for number in range(8):
        talk.turn(f"What is {number} and {number}?")
    assert "oldest turns forgotten" in capsys.readouterr().err
    assert 0 < len(talk.history) < 16
    assert len(llm.ids(talk.history[:-1])) < 96
    with pytest.raises(PromptTooLong, match="the context 96"):
        talk.turn("word " * 200)
    talk.turn("Still there?")  # and it goes on
    llm.close()
