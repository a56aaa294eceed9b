"""``paddock run``: one prompt, one answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddock.cli import options, render
from paddock.errors import UsageError

if TYPE_CHECKING:
    from paddock.inference.engine.request import Event

TRY = 'try: paddock run "I love Beijing, because"'

EXAMPLES = """
paddock run "I love Beijing, because"
paddock run --chat "What can a horse do?" --temperature 0.7 --seed 1
paddock run --stop "." --json "LLaMA is a"
cat story.txt | paddock run -m llama2-7b -n 200
"""


def run(
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="What to go on from; - or nothing reads standard input.",
            show_default=False,
        ),
    ] = None,
    model: options.Model = None,
    max_new_tokens: options.MaxNewTokens = 128,
    stop: options.Stop = None,
    chat: Annotated[
        bool, typer.Option("--chat/--raw", help="The prompt is a question, or raw text.")
    ] = False,
    system: options.System = None,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
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
    tp: options.Tp = 1,
    pp: options.Pp = 1,
    quiet: options.Quiet = False,
    json: options.Json = False,
    stream_json: Annotated[
        bool, typer.Option("--stream-json", help="A JSON object for each token, then the whole.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Answers one prompt.

    The answer goes to standard output while it is made, its cost to standard error.
    """
    from paddock.cli import answer

    question = _prompt(prompt)
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
    if system is not None and not chat:
        raise UsageError("--system needs --chat", hint="raw text has no system message")
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
        ranks=options.ranks(tp, pp),
        no_past=no_past,
        mindspore_python=mindspore_python,
        mode=mode,
    )
    if json:
        show = _nothing
    elif stream_json:
        show = _event
    else:
        show = _text
        if not chat and sys.stdout.isatty():
            render.text(question)  # a person reads the sentence whole, a pipe gets what is new
    asked = _messages(question, system) if chat else question
    whole = answer.stream(llm, asked, params, show)
    if json or stream_json:
        render.emit({"model": model or "demo", "prompt": question, **whole.to_dict()})
        return
    render.text("\n")
    if not quiet:
        render.line(whole.statistics())


def _messages(question: str, system: str | None) -> list[dict[str, str]]:
    messages = [{"role": "user", "content": question}]
    return [{"role": "system", "content": system}, *messages] if system is not None else messages


def _text(event: Event) -> None:
    render.text(event.text)


def _event(event: Event) -> None:
    value: dict[str, Any] = {"token": event.token, "text": event.text, "finish": event.finish}
    render.emit(value)


def _nothing(event: Event) -> None:
    pass


def _prompt(given: str | None) -> str:
    """The prompt from the command line or, if that says ``-`` or nothing, from standard input."""
    if given is not None and given != "-":
        try:
            given.encode()
        except UnicodeEncodeError:
            raise UsageError("the prompt is not UTF-8 text") from None
        if not given:
            raise UsageError("the prompt is empty", hint=TRY)
        return given
    if given is None and sys.stdin.isatty():
        raise UsageError("there is no prompt", hint=f"{TRY}, or pipe a text into it")
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input is not UTF-8 text (byte {error.start})", hint="convert it with iconv"
        ) from None
    # The newline that ends a file is not part of the sentence to go on with.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError("standard input is empty", hint=TRY)
    return text
