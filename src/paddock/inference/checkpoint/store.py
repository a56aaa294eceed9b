"""Where models live on this machine, and under which names they are found."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paddock.errors import FetchError, ModelNotFound, UsageError, nearest
from paddock.settings import Settings

DEMO = "demo"
"""The name of the built-in model, the default when none is given."""

MANIFEST = ".paddock-model.json"
"""Written last into a stored model's folder: what has it is complete."""


@dataclass(frozen=True, slots=True)
class Known:
    """A model with a short name: its ids on the hubs and MindFormers' name for it, if any."""

    huggingface: str
    modelscope: str
    mindformers: str | None = None


# Hugging Face ids: Meta's own organisation. ModelScope ids: as in the model lists of ms-swift and
# LLaMA-Factory, which agree on all six; not tried against the site itself.
KNOWN: dict[str, Known] = {
    f"llama2-{size}{chat}": Known(
        huggingface=f"meta-llama/Llama-2-{size}{chat}-hf",
        modelscope=f"modelscope/Llama-2-{size}{chat}-ms",
        mindformers=None if chat else f"llama2_{size}",
    )
    for size in ("7b", "13b", "70b")
    for chat in ("", "-chat")
}
"""Short name -> where it comes from."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a stored model; ``path`` is relative to its folder, ``size`` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was pulled, from where and when; ``revision`` as asked for, ``commit`` as it was."""

    name: str
    source: str
    revision: str
    commit: str
    date: str
    files: tuple[StoredFile, ...]
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A line of ``paddock models``; ``bytes`` counts partial files too."""

    name: str
    path: Path
    bytes: int
    complete: bool
    source: str


def canonical(name: str) -> str:
    """The one spelling of a known name (``llama2_7b``, ``Llama-2-7b`` -> ``llama2-7b``).

    Hub ids and anything unknown come back as they are. Raises UsageError for a name that is
    neither one word nor ``org/name`` of letters, digits, ``-``, ``_`` and ``.``.
    """
    word = name.strip().lower().replace("_", "-").replace("llama-2-", "llama2-")
    if word in KNOWN or word == DEMO:
        return word
    part = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}"
    if not re.fullmatch(f"{part}(/{part})?", name) or ".." in name or "--" in name:
        raise UsageError(
            f"{name!r} is not the name of a model",
            hint="a name is one word, such as llama2-7b, or a hub's org/name",
        )
    return name


def folder(name: str, settings: Settings) -> Path:
    """The store's folder for a name; it need not exist. Raises UsageError as ``canonical``."""
    return settings.models / canonical(name).replace("/", "--")


def locate(name: str | Path | None, settings: Settings) -> Path:
    """The path that a name stands for.

    None or ``demo`` is the built-in model and an existing path is itself. A known name or hub id
    is its folder in the store, if it is complete; a name that MindFormers knows is also looked
    for in ``checkpoint_download/llama2``: that folder, or the ``.ckpt`` in it where it holds
    several. Raises ModelNotFound with the places looked at.
    """
    if name is None or str(name) == DEMO:
        return builtin()
    path = Path(name).expanduser()
    if path.exists():
        return path
    text = str(name)
    if isinstance(name, Path) or text.startswith((".", "/", "~")) or text.count("/") > 1:
        raise ModelNotFound(f"there is no file or folder {path}")
    word = canonical(text)
    looked = [str(path)]
    for place in _places(word, settings):
        if is_complete(place):
            return place
        looked.append(f"{place} (incomplete)" if place.is_dir() else str(place))
    if word in KNOWN and (old := KNOWN[word].mindformers):
        ckpt = settings.checkpoint_download / "llama2" / f"{old}.ckpt"
        if ckpt.is_file():
            return ckpt if len(list(ckpt.parent.glob("*.ckpt"))) > 1 else ckpt.parent
        looked.append(str(ckpt))
    raise not_found(text, settings, f"no model {text!r} here; looked at {', '.join(looked)}")


def not_found(name: str, settings: Settings, message: str) -> ModelNotFound:
    """The error for a name that leads nowhere, with the nearest known one and the way out."""
    names = {*KNOWN, DEMO, *(m.name for m in list_models(settings))} - {name}
    word = name.lower().replace("_", "-")
    guess = "" if word in KNOWN or name in KNOWN else nearest(word, names)
    way = f"paddock pull {word if word in KNOWN else name}"
    return ModelNotFound(message + guess, hint=f"to download it: {way}")


def list_models(settings: Settings) -> list[StoredModel]:
    """The models in the store, complete or not, by name. The built-in one is not among them."""
    found = []
    for place in sorted(settings.models.glob("*")):
        if not place.is_dir() or place.name.startswith("."):
            continue
        manifest = read_manifest(place)
        found.append(
            StoredModel(
                name=manifest.name if manifest else place.name.replace("--", "/", 1),
                path=place,
                bytes=sum(f.lstat().st_size for f in place.rglob("*") if f.is_file()),
                complete=is_complete(place),
                source=manifest.source if manifest else "",
            )
        )
    return found


def remove(name: str, settings: Settings) -> Path:
    """Delete a stored model, complete or not, and return the folder that is gone.

    Raises UsageError for the built-in model or a name that is none, ModelNotFound if it is not
    stored, FetchError while it is being pulled.
    """
    if canonical(name) == DEMO:
        raise UsageError("the built-in model is part of Paddock and cannot be removed")
    places = [p for p in _places(canonical(name), settings) if p.is_dir() and not p.is_symlink()]
    if not places:
        raise ModelNotFound(
            f"no model {name!r} in {settings.models}"
            + nearest(canonical(name), [m.name for m in list_models(settings)])
        )
    place = places[0]
    with locked(place) as ours:
        if not ours:
            raise FetchError(f"{name} is being pulled by another process and was not removed")
        # First, so that an interrupted removal does not leave what looks complete.
        (place / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(place)
    return place


def read_manifest(place: Path) -> Manifest | None:
    """The manifest of a stored model, or None where there is none that can be understood."""
    try:
        raw: Any = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        files = tuple(StoredFile(**file) for file in raw.pop("files"))
        return Manifest(files=files, include=tuple(raw.pop("include", ())), **raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_manifest(place: Path, manifest: Manifest) -> None:
    """Mark the model in ``place`` complete."""
    part = place / f"{MANIFEST}.part"
    part.write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
    part.replace(place / MANIFEST)


def is_complete(place: Path) -> bool:
    """Whether every file that the manifest names is there in its full size."""
    manifest = read_manifest(place)
    return manifest is not None and all(
        (place / f.path).is_file() and (place / f.path).stat().st_size == f.size
        for f in manifest.files
    )


@contextmanager
def locked(place: Path) -> Iterator[bool]:
    """Try to be the only one who changes the folder ``place``; yields whether we are.

    The lock ends with the process, however it ends. Raises FetchError where the store cannot be
    written.
    """
    import fcntl

    path = place.parent / ".locks" / f"{place.name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except OSError as error:
        raise FetchError(
            f"cannot write in the store: {error.filename}: {error.strerror}",
            hint="set PADDOCK_HOME to a folder that you may write in",
        ) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def builtin() -> Path:
    """The built-in model's folder. Raises ModelNotFound if the installation lacks it."""
    from importlib.resources import files

    path = Path(str(files("paddock") / "assets" / DEMO))
    if not path.is_dir():
        raise ModelNotFound(
            f"the built-in model is missing from this installation ({path})",
            hint="install Paddock again, or name a model",
        )
    return path


def _places(word: str, settings: Settings) -> list[Path]:
    """The store's folders that may hold the model: under its short name or a hub's id for it."""
    names = [word]
    for short, known in KNOWN.items():
        if word == short:
            names += [known.huggingface, known.modelscope]
        elif word in (known.huggingface, known.modelscope):
            names.append(short)
    return [settings.models / name.replace("/", "--") for name in names]
