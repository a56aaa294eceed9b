"""``paddock profile``: where the time of one answer goes, as a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render
from paddock.errors import UsageError

EXAMPLES = """
paddock profile "I love Beijing, because" --out trace.json.gz
paddock profile "I love Beijing, because" --runtime torch --out trace.json
"""


def profile(
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What is answered.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The trace: .json, or .json.gz to compress.", show_default=False
        ),
    ],
    model: options.Model = None,
    max_new_tokens: options.MaxNewTokens = 16,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    mindspore_python: options.MindSporePython = None,
    mode: options.ModeOption = None,
    quant: options.QuantOption = None,
    kv: options.KvOption = options.Kv.auto,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    threads: options.Threads = None,
    max_seq_len: options.MaxSeqLen = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Answers once and writes a trace for Perfetto or TensorBoard.

    With the torch runtime it is torch.profiler's, with every operation; the mindspore runtime
    leaves mindspore.Profiler's files for MindInsight in a folder beside. The first answer is not
    traced: it would show what is done once.
    """
    if out.suffixes[-2:] != [".json", ".gz"] and out.suffix != ".json":
        raise UsageError(f"the trace is {out.name!r}", hint="name it .json or .json.gz")
    llm = options.open_model(
        model,
        device=device,
        runtime=runtime,
        dtype=dtype,
        quant=quant,
        kv=kv,
        threads=threads,
        max_seq_len=max_seq_len,
        mindspore_python=mindspore_python,
        mode=mode,
    )
    from paddock.bench.profile import mindspore_folder
    from paddock.bench.profile import profile as trace
    from paddock.inference.llm import GenerationParams

    params = GenerationParams(max_new_tokens=max_new_tokens)
    llm.generate([prompt], params)
    events = trace(llm, prompt, params, out)
    folder = mindspore_folder(out) if runtime is options.RuntimeName.mindspore else None
    if json:
        render.emit(
            {"path": str(out), "events": events, "mindspore": str(folder) if folder else None}
        )
        return
    render.line(f"{events} events; open {out} at https://ui.perfetto.dev")
    if folder:
        render.line(f"MindSpore's own profile: mindinsight start --summary-base-dir {folder}")
    render.text(f"{out}\n")
