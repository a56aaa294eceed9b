"""What a pull does with a server that misbehaves: one data file each, against three dialects.

about     why the case exists
hubs      optional: the dialects it applies to
[before]  answers: faults of an earlier pull, which gives up and leaves its part
[between] what happened since: version = the ETag changes, content = the file changes,
          flip = a byte of the part is damaged, grow = the part is too long, note = the note
          beside the part is damaged
[now]     answers: the faults of this pull; retries, token
[expect]  error = the exception's class, says = texts in it; ranges = the Range header of each
          request for the weights; part = whether a part is left
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
from fakehub import FakeHub
from fetchkit import QUICK, WEIGHTS, content, files, plain, settings_for

from paddock import errors
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.fetch import pull

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
CHOSEN = {"config.json", "tokenizer.model", "NOTICE", WEIGHTS}


LOADED = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in CASES}


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, case in LOADED.items() for kind in case.get("hubs", ["huggingface"])],
)
def test_case(name: str, kind: str, hub: FakeHub, tmp_path: Path) -> None:
    case, settings = copy.deepcopy(LOADED[name]), settings_for(hub, tmp_path, kind)
    place = store.folder("org/tiny", settings)
    part = place / f"{WEIGHTS}.part"
    if before := case.get("before"):
        hub.script[WEIGHTS] = before["answers"]
        with pytest.raises(errors.FetchError):
            pull("org/tiny", settings, policy=dataclasses.replace(QUICK, retries=0))
        assert part.exists() and not store.is_complete(place)
    between(case.get("between", {}), hub, part)
    now = case.get("now", {})
    hub.script[WEIGHTS] = now.get("answers", [])
    hub.seen.clear()
    policy = dataclasses.replace(QUICK, retries=now.get("retries", QUICK.retries))

    expect = case["expect"]
    if "error" in expect:
        with pytest.raises(getattr(errors, expect["error"])) as caught:
            pull("org/tiny", settings, policy=policy)
        assert type(caught.value).__name__ == expect["error"]
        for text in expect["says"]:
            assert text in str(caught.value)
        assert not (place / WEIGHTS).exists() and not store.is_complete(place)
        assert part.exists() == expect["part"]
    else:
        assert pull("org/tiny", settings, policy=policy) == place
        model = hub.models["org/tiny"]
        assert plain(place) == {name: model[name] for name in CHOSEN}
        assert store.is_complete(place)
    assert [s.headers.get("Range", "") for s in hub.gets(WEIGHTS)] == expect["ranges"]


def between(happened: dict[str, Any], hub: FakeHub, part: Path) -> None:
    if happened.get("version"):
        hub.version = "v2"
    if happened.get("content"):
        hub.version = "v2"
        hub.models["org/tiny"] = {**files(), WEIGHTS: content(9)}
    if "flip" in happened:
        data = bytearray(part.read_bytes())
        data[happened["flip"]] ^= 1
        part.write_bytes(data)
    if happened.get("grow"):
        part.write_bytes(content() + b"more")
    if happened.get("note"):
        part.with_name(part.name + ".json").write_text("{ torn")
