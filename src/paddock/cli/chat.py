"""``paddock chat``: a conversation, typed or piped."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from paddock.cli import options, render
from paddock.errors import PaddockError, PromptTooLong, UsageError, nearest

if TYPE_CHECKING:
    from paddock.inference.llm import LLM, GenerationParams

EXAMPLES = """
paddock chat
paddock chat -m llama2-7b-chat --system "Answer in one sentence."
printf 'Who are you?\\nWhat is a horse?\\n' | paddock chat --json
"""

HELP = """\
/help            this
/reset           forget what was said
/system TEXT     set the system message (nothing: none) and forget what was said
/quit            leave; so does Ctrl-D
Ctrl-C stops an answer. A line that must begin with / is written with //."""

COMMANDS = ("/help", "/reset", "/system", "/quit")


def chat(
    model: options.Model = None,
    system: options.System = None,
    max_new_tokens: options.MaxNewTokens = 256,
    stop: options.Stop = None,
    temperature: options.Temperature = 0.6,
    top_k: options.TopK = 0,
    top_p: options.TopP = 0.9,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    presence_penalty: options.PresencePenalty = 0.0,
    frequency_penalty: options.FrequencyPenalty = 0.0,
    seed: options.Seed = None,
    device: options.DeviceOption = options.Device.auto,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    mindspore_python: options.MindSporePython = None,
    mode: options.ModeOption = None,
    dtype: options.DtypeOption = options.Dtype.auto,
    quant: options.QuantOption = None,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    max_seq_len: options.MaxSeqLen = None,
    speculate: options.Speculate = None,
    no_past: options.NoPast = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Talks with a model.

    It remembers what was said; type /help in it. Lines that are piped in are answered one
    after the other.
    """
    # Sampling defaults: Meta's own example_chat_completion.py for Llama 2.
    params = options.generation(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
        seed=seed,
        stop=stop,
        no_past=no_past,
    )
    llm = options.open_model(
        model,
        device=device,
        runtime=runtime,
        dtype=dtype,
        quant=quant,
        kv=kv,
        threads=threads,
        max_seq_len=max_seq_len,
        speculate=speculate,
        no_past=no_past,
        mindspore_python=mindspore_python,
        mode=mode,
    )
    talk = Conversation(llm, params, system, quiet=quiet, json=json)
    if sys.stdin.isatty():
        render.line(f"{model or 'the built-in model'}; /help for help, Ctrl-D to leave")
    talk.run()


@dataclass
class Conversation:
    """The history and what a line does to it."""

    llm: LLM
    params: GenerationParams
    system: str | None
    quiet: bool = False
    json: bool = False
    history: list[dict[str, str]] = field(default_factory=list)

    def run(self) -> None:
        """Reads lines until there are no more or one says ``/quit``.

        A person stays in the conversation after Ctrl-C and after an error; a pipe does not.
        """
        while (line := _read_line()) is not None:
            try:
                if not self.line(line.strip()):
                    return
            except KeyboardInterrupt:
                if not sys.stdin.isatty():
                    raise
                render.text("\n")
                render.line("(stopped)")
            except PaddockError as error:
                if not sys.stdin.isatty():
                    raise
                render.line(f"error: {error}")

    def line(self, line: str) -> bool:
        """Does what a line says; False to leave."""
        if line.startswith("/") and not line.startswith("//"):
            return self.command(line)
        if line:
            self.turn(line.removeprefix("/") if line.startswith("//") else line)
        return True

    def command(self, line: str) -> bool:
        """Does what a line with a slash says; False to leave. Raises UsageError for others."""
        name, _, rest = line.partition(" ")
        if name == "/quit":
            return False
        if name == "/help":
            for row in HELP.splitlines():
                render.line(row)
        elif name == "/reset":
            self.history.clear()
            render.line("forgotten")
        elif name == "/system":
            self.system = rest.strip() or None
            self.history.clear()
            render.line("system message set" if self.system else "no system message")
        else:
            raise UsageError(f"no such command: {name}{nearest(name, COMMANDS)}", hint="see /help")
        return True

    def turn(self, question: str) -> None:
        """Answers ``question``; what was said of an answer that is stopped is remembered."""
        from paddock.cli import answer

        self.history.append({"role": "user", "content": question})
        said: list[str] = []
        try:
            ids = self._prompt()
            whole = answer.stream(self.llm, ids, self.params, lambda e: self._show(e.text, said))
        finally:
            self._remember("".join(said).strip())
        if self.json:
            render.emit({"prompt": question, **whole.to_dict()})
            return
        render.text("\n")
        if not self.quiet:
            render.line(whole.statistics())

    def _remember(self, text: str) -> None:
        if text:
            self.history.append({"role": "assistant", "content": text})
        elif self.history:
            self.history.pop()  # templates want question and answer in turn
        # Another seed for the next answer, from the first, so that one --seed repeats a whole chat.
        sampling = replace(self.params.sampling, seed=self.params.sampling.seed + 1)
        self.params = replace(self.params, sampling=sampling)

    def _show(self, text: str, said: list[str]) -> None:
        if not said:
            text = text.lstrip()
        if text:
            said.append(text)
            if not self.json:
                render.text(text)

    def _prompt(self) -> list[int]:
        """The conversation's ids with room for an answer; forgets the oldest turns if need be."""
        room = self.llm.runtime.limits.max_seq_len
        answer_room = min(self.params.max_new_tokens, room // 4)
        dropped = 0
        while True:
            system = [{"role": "system", "content": self.system}] if self.system else []
            ids = self.llm.ids([*system, *self.history])
            if len(ids) + answer_room <= room or len(self.history) == 1:
                break
            del self.history[:2]
            dropped += 1
        if dropped:
            render.line(
                f"(the context of {room} tokens is full; oldest turns forgotten: {dropped})"
            )
        if len(ids) >= room:
            raise PromptTooLong(
                f"the message has {len(ids)} tokens, the context {room} in all",
                hint="shorten it",
            )
        return ids


def _read_line() -> str | None:
    """The next line, edited with the terminal's keys; None at the end of the input."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line or None
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  arrow keys and history for input()
    try:
        return input("> ")
    except EOFError:
        render.text("\n")
        return None
    except KeyboardInterrupt:
        render.text("\n")
        render.line("Ctrl-D or /quit leaves")
        return ""
