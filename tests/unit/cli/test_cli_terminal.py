"""What a person at a terminal sees: colours, Ctrl-C, prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_errors_are_coloured_unless_unwanted(terminal: Callable[..., Any]) -> None:
    coloured = terminal("rnu")
    assert coloured.finish() == 2
    assert "\x1b[1;31merror: \x1b[0m" in coloured.seen
    plain = terminal("rnu", env={"NO_COLOR": "1"})
    assert plain.finish() == 2
    assert "31m" not in plain.seen
    assert "error: no such command: rnu; did you mean 'run'?" in plain.seen


def test_run_without_a_prompt_says_how(terminal: Callable[..., Any]) -> None:
    page = terminal("run", env={"NO_COLOR": "1"})
    assert page.finish() == 2
    assert 'there is no prompt (try: paddock run "I love Beijing, because"' in page.seen


def no_signal_is_under_way(chat: Any) -> None:
    """A Ctrl-C typed late has been dealt with once a line that was typed after it is answered."""
    chat.press("/hlep\n", "did you mean '/help'?")
    chat.until("> ")


def test_chat_survives_ctrl_c(terminal: Callable[..., Any]) -> None:
    chat = terminal(
        "chat", "-n", "100000", "-t", "1.5", "--no-past", "--threads", "1", env={"NO_COLOR": "1"}
    )
    chat.until("> ")
    chat.type("/hlep\n")
    chat.until("did you mean '/help'?")
    chat.until("> ")
    chat.press("\x03", "Ctrl-D or /quit leaves")
    no_signal_is_under_way(chat)
    chat.type("Tell me a story\n")
    chat.until("Tell me a story\n")
    # The terminal shows the line before the program has it; a Ctrl-C then would take it away again.
    chat.begun()
    chat.type("\x03")
    shown = chat.until("> ")
    assert "(stopped)" in shown or "ended by" in shown  # the second: the answer was faster
    no_signal_is_under_way(chat)
    chat.type("\x04")
    assert chat.finish() == 0
    assert "Traceback" not in chat.seen
