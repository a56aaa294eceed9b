"""What the user has set, read once: the environment over the configuration file over defaults."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from paddock.errors import UsageError, nearest

HUBS = ("huggingface", "modelscope", "mirror")
"""The kinds of place that models are pulled from."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is set outside a command's own options. Immutable; ``repr`` hides the token.

    ``home`` holds what Paddock stores; ``hub`` is one of HUBS; ``endpoint`` is its base URL
    without a trailing slash, None for the hub's own; ``parallel`` is how many files are
    downloaded at once and ``timeout`` the seconds a silent connection is borne. ``threads`` is the
    number of CPU threads, None to decide at run time. ``checkpoint_download`` is the folder in
    which MindFormers' users keep their ``llama2/llama2_7b.ckpt``. ``state`` holds what is known of
    deployments: journals, locks, logs. ``mindspore_python`` is the interpreter that has MindSpore
    and MindFormers, None to look for one.
    """

    home: Path
    hub: str = "huggingface"
    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    offline: bool = False
    parallel: int = 2
    timeout: float = 30.0
    threads: int | None = None
    checkpoint_download: Path = Path("checkpoint_download")
    state: Path = Path(".paddock")
    mindspore_python: Path | None = None

    @property
    def models(self) -> Path:
        """The store: one folder for each pulled model."""
        return self.home / "models"


def load(
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
    *,
    hub: str | None = None,
    endpoint: str | None = None,
) -> Settings:
    """The settings in force; ``hub`` and ``endpoint`` are a command's options and go first.

    ``environ`` is the process's environment unless given. ``file`` is ``PADDOCK_CONFIG`` or else
    ``config.toml`` in the user's configuration folder (``~/.config/paddock``), which may be
    absent; a file that was named must exist. Raises UsageError for a file that cannot be read, an
    unknown key or a value of the wrong type, naming the file or variable it came from.
    """
    env = os.environ if environ is None else environ
    values = _from_file(*_config_file(env, file))
    values.update(_from_environment(env))
    if hub is not None and hub != values.get("hub", "huggingface"):
        # The configured address and token belong to the configured hub.
        values.update(hub=_hub(hub, "the hub"), endpoint=None, token=None)
    if endpoint is not None:
        values["endpoint"] = _url(endpoint, "the endpoint")
    hub = values.get("hub", "huggingface")
    if values.get("endpoint") is None and hub == "huggingface" and env.get("HF_ENDPOINT"):
        values["endpoint"] = _url(env["HF_ENDPOINT"], "HF_ENDPOINT")
    if hub == "mirror" and not values.get("endpoint"):
        raise UsageError(
            "the hub is 'mirror' but there is no base URL",
            hint="set PADDOCK_HUB_ENDPOINT, or endpoint under [hub] in the configuration file",
        )
    if not values.get("token"):
        values["token"] = _foreign_token(env, hub)
    if "home" not in values:
        values["home"] = _platform_folder("user_cache_path")
    if "state" not in values:
        values["state"] = _platform_folder("user_state_path")
    return Settings(**values)


def rank(environ: Mapping[str, str] | None = None) -> tuple[int, int | None]:
    """This process's number and the number of processes, as MindSpore's launchers set them.

    ``RANK_ID`` and ``RANK_SIZE``; (0, None) where no launcher did. Raises UsageError for what is
    not a number.
    """
    env = os.environ if environ is None else environ
    for name in ("RANK_ID", "RANK_SIZE"):
        if not env.get(name, "0").isdecimal():
            raise UsageError(f"{name} is {env[name]!r}, which is not a whole number")
    return int(env.get("RANK_ID", 0)), int(env["RANK_SIZE"]) if "RANK_SIZE" in env else None


class ElasticRank(NamedTuple):
    """What torchrun's agent tells a process: its rank of ``size``, the ``local``-th of
    ``neighbours`` on its host, and the address of the store at which they meet."""

    rank: int
    size: int
    local: int
    neighbours: int
    store: tuple[str, int]


def elastic_rank(environ: Mapping[str, str] | None = None) -> ElasticRank:
    """This process's place as torchrun's agent set it. Raises UsageError where none did."""
    env = os.environ if environ is None else environ
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    for name in names:
        if not env.get(name, "").isdecimal():
            raise UsageError(f"{name} is {env.get(name)!r}", hint="torchrun's agent sets a number")
    rank, size, local, neighbours, port = (int(env[name]) for name in names)
    return ElasticRank(rank, size, local, neighbours, (env.get("MASTER_ADDR", "127.0.0.1"), port))


def export(variables: Mapping[str, str]) -> None:
    """Sets variables that this process's own children need.

    Only for processes that exist to have children, such as the ranks' agent: libraries read some of
    these when they are loaded, and whoever called us has an environment of his own.
    """
    os.environ.update(variables)


def root_password(environ: Mapping[str, str] | None = None) -> str | None:
    """``PADDOCK_ROOT_PASSWORD``: what ssh.root_password sets, for one command; None if not set.

    Kept out of Settings, which is handed around. Raises UsageError for one that chpasswd would
    read as several lines.
    """
    env = os.environ if environ is None else environ
    password = env.get("PADDOCK_ROOT_PASSWORD") or None
    if password is not None and len(password.splitlines()) != 1:
        raise UsageError("PADDOCK_ROOT_PASSWORD is not one line")
    return password


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where the configuration file is looked for; it need not exist."""
    return _config_file(os.environ if environ is None else environ, None)[0]


def _config_file(env: Mapping[str, str], file: Path | None) -> tuple[Path, bool]:
    """The configuration file, and whether somebody named it."""
    if file is not None:
        return file, True
    if env.get("PADDOCK_CONFIG"):
        return Path(env["PADDOCK_CONFIG"]).expanduser(), True
    return _platform_folder("user_config_path") / "config.toml", False


def _platform_folder(which: str) -> Path:
    import platformdirs

    folder: Path = getattr(platformdirs, which)("paddock", appauthor=False)
    return folder


# Checks of single values: each takes the raw value and where it came from.


def _fail(value: object, where: str, wanted: str) -> UsageError:
    return UsageError(f"{where} is {value!r}, which is not {wanted}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _fail(value, where, "a non-empty text")
    return value.strip()


def _secret(value: Any, where: str) -> str:
    # A token goes into an HTTP header, so it has to be one line of ASCII. Never echoed.
    if not isinstance(value, str) or not value.strip().isascii() or len(value.split()) != 1:
        raise UsageError(f"{where} is not an access token (one word of ASCII)")
    return value.strip()


def _url(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip().startswith(("http://", "https://")):
        raise _fail(value, where, "an address that starts with http:// or https://")
    return value.strip().rstrip("/")


def _hub(value: Any, where: str) -> str:
    if value not in HUBS:
        raise UsageError(
            f"{where} is {value!r}; known are {', '.join(HUBS)}{nearest(str(value), HUBS)}"
        )
    return str(value)


def _path(value: Any, where: str) -> Path:
    return Path(_text(value, where)).expanduser()


def _flag(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value.strip().lower() in ("1", "true", "yes", "on"):
            return True
        if value.strip().lower() in ("0", "false", "no", "off", ""):
            return False
    raise _fail(value, where, "true or false")


def _count(value: Any, where: str) -> int:
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise _fail(value, where, "a whole number of 1 or more")
    return number


def _files_at_once(value: Any, where: str) -> int:
    if (number := _count(value, where)) > 4:
        raise _fail(value, where, "between 1 and 4")
    return number


def _seconds(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise _fail(value, where, "a number of seconds above 0")
    return number


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its key in the file, its variable, the field it fills and what it may be."""

    key: str
    variable: str
    field: str
    check: Callable[[Any, str], object]


OPTIONS = (
    Option("home", "PADDOCK_HOME", "home", _path),
    Option("state", "PADDOCK_STATE", "state", _path),
    Option("offline", "PADDOCK_OFFLINE", "offline", _flag),
    Option("threads", "PADDOCK_THREADS", "threads", _count),
    Option("checkpoint_download", "CHECKPOINT_DOWNLOAD_FOLDER", "checkpoint_download", _path),
    Option("mindspore.python", "PADDOCK_MINDSPORE_PYTHON", "mindspore_python", _path),
    Option("hub.kind", "PADDOCK_HUB", "hub", _hub),
    Option("hub.endpoint", "PADDOCK_HUB_ENDPOINT", "endpoint", _url),
    Option("hub.token", "PADDOCK_HUB_TOKEN", "token", _secret),
    Option("hub.parallel", "PADDOCK_HUB_PARALLEL", "parallel", _files_at_once),
    Option("hub.timeout", "PADDOCK_HUB_TIMEOUT", "timeout", _seconds),
)
"""Every setting there is; docs/guides/models.md is held to this table by a test."""


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """Values of the variables that are set and not empty."""
    values: dict[str, Any] = {
        option.field: option.check(env[option.variable], option.variable)
        for option in OPTIONS
        if env.get(option.variable, "").strip()
    }
    if "offline" not in values and env.get("HF_HUB_OFFLINE", "").strip():
        values["offline"] = _flag(env["HF_HUB_OFFLINE"], "HF_HUB_OFFLINE")
    return values


def _from_file(path: Path, named: bool) -> dict[str, Any]:
    """Values of the configuration file, each checked."""
    if not named and not path.is_file():
        return {}
    known = {option.key: option for option in OPTIONS}
    values: dict[str, Any] = {}
    for key, value in _flatten(read_toml(path)).items():
        if key not in known:
            raise UsageError(
                f"unknown key {key!r} in {path}{nearest(key, known)}",
                hint=f"known are {', '.join(known)}",
            )
        option = known[key]
        values[option.field] = option.check(value, f"{key} in {path}")
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's table. Raises UsageError for one that cannot be read."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        with path.open("rb") as stream:
            table: dict[str, Any] = toml.load(stream)
    except OSError as error:
        raise UsageError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"the configuration file {path} is not TOML: {error}") from error
    return table


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"hub": {"kind": 1}}`` as ``{"hub.kind": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _foreign_token(env: Mapping[str, str], hub: str) -> str | None:
    """The token that the hub's own tools would use.

    Each only with its own hub: a Hugging Face token is not for ModelScope or somebody's mirror.
    Source of the places: Hugging Face's and ModelScope's documentation of their variables.
    """
    if hub == "modelscope" and env.get("MODELSCOPE_API_TOKEN", "").strip():
        return _secret(env["MODELSCOPE_API_TOKEN"], "MODELSCOPE_API_TOKEN")
    if hub != "huggingface":
        return None
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if env.get(variable, "").strip():
            return _secret(env[variable], variable)
    cache = env.get("XDG_CACHE_HOME") or "~/.cache"
    home = env.get("HF_HOME") or f"{cache}/huggingface"
    path = Path(env.get("HF_TOKEN_PATH") or f"{home}/token").expanduser()
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        # Not ours, and most commands need no token: the hub will say so if this one does.
        return None
    return _secret(text, f"the token in {path}") if text else None
