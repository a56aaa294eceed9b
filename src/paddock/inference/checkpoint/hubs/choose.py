"""Which of a model's files are worth downloading: one form of the weights and what goes with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from paddock.errors import FetchError, UsageError
from paddock.inference.checkpoint.hubs.base import RemoteFile

BESIDES = (
    "config.json",
    "generation_config.json",
    "params.json",
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
    "LICENSE.txt",
    "USE_POLICY.md",
    "NOTICE",
)
"""The small files that are taken along; the licence's because Llama 2's asks for it."""

FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("model*.safetensors", ("model.safetensors.index.json",)),
    ("*.safetensors", ("*.safetensors.index.json",)),
    ("*.gguf", ()),
    ("*.ckpt", ("*.yaml",)),
    ("consolidated.*.pth", ("checklist.chk",)),
    ("*.pth", ()),
    ("pytorch_model*.bin", ("pytorch_model.bin.index.json",)),
)
"""Forms of weights, the best first, with the files that belong to each. Pickles come last: they
are taken only where there is nothing safer."""


def choose(
    files: Iterable[RemoteFile], include: Sequence[str] | None, model: str
) -> list[RemoteFile]:
    """The files to download, the small ones first.

    With ``include`` (shell patterns on the path) exactly those that match one. Without, the best
    form of the weights that lies at the top of the repository, and BESIDES. Raises UsageError for
    a pattern that matches nothing or a choice that only the user can make, FetchError where there
    are no weights.
    """
    files = [file for file in files if not file.path.startswith(".")]
    if include:
        chosen = [f for f in files if any(fnmatchcase(f.path, p) for p in include)]
        for pattern in include:
            if not any(fnmatchcase(f.path, pattern) for f in files):
                names = ", ".join(sorted(f.path for f in files)[:12])
                raise UsageError(f"no file of {model} matches {pattern!r}; there are {names}")
        return _small_first(chosen)
    top = [file for file in files if "/" not in file.path]
    for weights, partners in FORMS:
        found = [file for file in top if fnmatchcase(file.path, weights)]
        if not found:
            continue
        if weights == "*.gguf" and len(found) > 1:
            names = ", ".join(sorted(file.path for file in found))
            raise UsageError(
                f"{model} holds {len(found)} GGUF files: {names}",
                hint=f"choose one: paddock pull {model} --include '{found[0].path}'",
            )
        taken = {file.path for file in found}
        return _small_first(
            file
            for file in top
            if file.path in taken
            or file.path in BESIDES
            or any(fnmatchcase(file.path, partner) for partner in partners)
        )
    names = ", ".join(sorted(file.path for file in files)[:12]) or "nothing"
    raise FetchError(f"{model} holds no weights in a form that Paddock reads; it holds {names}")


def _small_first(files: Iterable[RemoteFile]) -> list[RemoteFile]:
    # So that a missing licence or a wrong model shows before the gigabytes.
    return sorted(files, key=lambda f: (f.path not in BESIDES, f.size or 0, f.path))
