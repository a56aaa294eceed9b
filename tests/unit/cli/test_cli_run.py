"""``paddock run`` with the model that comes along."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from cli_child import child

STATISTICS = re.compile(
    r"^\[\d+ prompt tokens, \d+ new tokens, TTFT \d+\.\d{3} s, \d+\.\d tokens/s, "
    r"ended by (itself|length)(, seed \d+)?\]\n$"
)


def test_answer_to_stdout_and_cost_to_stderr(paddock: Callable[..., Any]) -> None:
    result = paddock("run", "I love Beijing, because", "-n", "5")
    assert result.code == 0
    assert result.out.strip()
    assert "I love Beijing" not in result.out  # a pipe gets only what is new
    assert STATISTICS.match(result.err)
    assert "\x1b" not in result.out + result.err


def test_the_same_from_a_pipe_and_as_json(paddock: Callable[..., Any]) -> None:
    given = paddock("run", "LLaMA is a", "-n", "6", "-q")
    piped = paddock("run", "-n", "6", "-q", stdin="LLaMA is a\n")
    dash = paddock("run", "-", "-n", "6", "-q", stdin="LLaMA is a\r\n")
    answer = json.loads(paddock("run", "LLaMA is a", "-n", "6", "--json").out)
    lines = paddock("run", "LLaMA is a", "-n", "6", "--stream-json").out.splitlines()
    events = [json.loads(line) for line in lines]
    assert given.err == piped.err == dash.err == ""
    assert given.out == piped.out == dash.out == answer["text"] + "\n"
    assert "".join(event["text"] for event in events[:-1]) == answer["text"] == events[-1]["text"]
    assert len(events) - 1 == answer["tokens"]
    assert events[-2]["finish"] == answer["finish"]
    assert answer["seed"] is None
    assert answer["ttft_s"] > 0


def test_an_answer_to_a_question_is_a_text_of_its_own(paddock: Callable[..., Any]) -> None:
    rest = paddock("run", "LLaMA is a", "-n", "6", "-q").out
    answer = paddock("run", "--chat", "hello", "-n", "6", "-q").out
    assert rest.startswith(" ")  # the space before the next word
    assert not answer.startswith(" ")


def test_a_seed_repeats_a_random_text(paddock: Callable[..., Any]) -> None:
    hot = ("run", "One day", "-n", "12", "-t", "1.5", "--json")
    first = json.loads(paddock(*hot).out)
    again = json.loads(paddock(*hot, "--seed", str(first["seed"])).out)
    assert again["text"] == first["text"]


def test_speculation_gives_the_same_text_and_says_how_often_it_was_right(
    paddock: Callable[..., Any],
) -> None:
    asked = ("run", "One day", "-n", "24", "--json", "--dtype", "fp32", "-t", "0.7", "--seed", "1")
    plain = json.loads(paddock(*asked).out)
    assert (plain["drafted"], plain["acceptance_rate"]) == (0, None)
    guessed = json.loads(paddock(*asked, "--speculate", "demo").out)
    assert guessed["text"] == plain["text"]
    assert guessed["acceptance_rate"] == guessed["accepted"] / guessed["drafted"] == 1.0
    lookup = json.loads(paddock(*asked, "--speculate", "lookup").out)
    assert lookup["text"] == plain["text"]
    line = paddock("run", "One day", "-n", "24", "--dtype", "fp32", "--speculate", "demo").err
    assert re.search(r", (\d+) of \1 guesses right\]\n$", line)
    wrong = paddock("run", "One day", "--speculate", "lokup")
    assert wrong.code == 1
    assert "lokup" in wrong.err


def test_slow_path_and_stop(paddock: Callable[..., Any]) -> None:
    fast = json.loads(paddock("run", "One day", "-n", "8", "--json", "--dtype", "fp32").out)
    slow = paddock("run", "One day", "-n", "8", "--json", "--dtype", "fp32", "--no-past")
    assert json.loads(slow.out)["text"] == fast["text"]
    word = fast["text"].split()[1]
    stopped = json.loads(
        paddock("run", "One day", "-n", "8", "--json", "--dtype", "fp32", "--stop", word).out
    )
    assert stopped["finish"] == "stop"
    assert stopped["text"] == fast["text"][: fast["text"].index(word)]


def test_chat_and_system(paddock: Callable[..., Any]) -> None:
    raw = json.loads(paddock("run", "Who are you?", "-n", "2", "--json").out)
    chat = json.loads(paddock("run", "Who are you?", "-n", "2", "--json", "--chat").out)
    told = json.loads(
        paddock("run", "Who are you?", "-n", "2", "--json", "--chat", "--system", "Be brief.").out
    )
    assert raw["prompt_tokens"] < chat["prompt_tokens"] < told["prompt_tokens"]


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    process = child("inspect", "demo", "--tensors", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read().decode()
    assert (process.wait(300), error) == (141, "")
    process.stderr.close()


def test_ctrl_c_ends_quietly() -> None:
    process = child(
        "run", "Once upon a time", "-n", "100000", "-t", "1", "--no-past", "--stream-json",
        "--threads", "1",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=300)
    if process.returncode == 0:
        pytest.skip("the answer was over before the signal came")
    assert (process.returncode, error.decode()) == (130, "")
