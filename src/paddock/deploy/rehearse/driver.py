"""Builds the stand-ins for the driver's library and ``npu-smi`` out of a model's answers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from paddock.deploy.rehearse.model import MachineModel
from paddock.errors import RehearsalError
from paddock.shell import Runner

DRIVER = "usr/local/Ascend/driver"


def build(model: MachineModel, tree: Path, machine: Runner) -> None:
    """Puts ``driver/lib64/driver/libdrvdsmi_host.so`` and ``npu-smi`` below ``tree``.

    Both are compiled here, linked with each other as the real ones are: without the library's
    folder on the loader's path ``npu-smi`` does not start. Raises RehearsalError with the
    compiler's words.
    """
    source = tree.parent / "source"
    source.mkdir()
    for name in ("drvdsmi.c", "drvdsmi.h", "npu-smi.c", "start.c"):
        (source / name).write_text(text(name), encoding="utf-8")
    (source / "recording.h").write_text(_recording(model), encoding="utf-8")
    library = tree / DRIVER / "lib64" / "driver"
    library.mkdir(parents=True)
    program = tree / "usr" / "local" / "sbin" / "npu-smi"
    program.parent.mkdir(parents=True, exist_ok=True)
    soname = "libdrvdsmi_host.so"
    for words in (
        ["-shared", "-fPIC", f"-Wl,-soname,{soname}", "drvdsmi.c", "-o", str(library / soname)],
        # Its own entry instead of the C library's: see start.c.
        [
            *("-nostartfiles", "-fno-stack-protector", "-Wl,-e,_start", "start.c", "npu-smi.c"),
            *(f"-L{library}", "-ldrvdsmi_host", "-o", str(program)),
        ],
    ):
        argv = ["gcc", "-O1", "-w", f"-I{source}"]
        paths = [str(source / word) if word.endswith(".c") else word for word in words]
        output = machine.run([*argv, *paths], timeout=120)
        if not output.ok:
            raise RehearsalError(
                f"cannot compile the stand-in for {soname}: {output.stderr.strip()[-500:]}",
                hint="it needs gcc and the C library's headers (Debian: gcc libc6-dev)",
            )


def text(name: str) -> str:
    """One of the programs that come with this room."""
    return (resources.files("paddock.deploy.rehearse") / "files" / name).read_text("utf-8")


def version_file(values: Mapping[str, str]) -> str:
    """A ``version.info``."""
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _recording(model: MachineModel) -> str:
    cards = ",\n".join(f"  {{{card.npu}, {card.chip}, {card.node}}}" for card in model.cards)
    answers = ",\n".join(
        f"  {{{_quoted(words)}, {code}, {_quoted(said)}}}"
        for words, (code, said) in model.answers.items()
    )
    return (
        "static const struct { int npu, chip, node; } cards[] = {\n"
        f"{cards}\n}};\n"
        "static const struct { const char *words; int code; const char *text; } answers[] = {\n"
        f"{answers}\n}};\n"
    )


def _quoted(said: str) -> str:
    """A C string literal; every byte that is not plain ASCII as three octal digits."""
    plain = "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in said.encode()
    )
    return f'"{plain}"'
