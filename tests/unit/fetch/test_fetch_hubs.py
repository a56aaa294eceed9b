"""What differs between the hubs: names, tokens, listings, refusals."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from fakehub import COMMIT, FakeHub
from fetchkit import QUICK, WEIGHTS, content, files, plain, settings_for

from paddock.errors import FetchError, GatedModel, ModelNotFound, UsageError
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.fetch import pull
from paddock.settings import Settings

SECRET = "hf_secret"


def test_a_known_name_is_translated_for_each_hub(settings: Settings, hub: FakeHub) -> None:
    place = pull("llama2_7b", settings, policy=QUICK)
    assert place == settings.models / "llama2-7b"
    manifest = store.read_manifest(place)
    assert manifest is not None and manifest.name == "llama2-7b"
    where = {
        "huggingface": "/meta-llama/Llama-2-7b-hf",
        "modelscope": "/models/modelscope/Llama-2-7b-ms",
        "mirror": "/mirror/llama2-7b",
    }[settings.hub]
    assert manifest.source == hub.url + where
    assert {f.path: f.sha256 for f in manifest.files} == {
        name: hashlib.sha256(data).hexdigest() for name, data in plain(place).items()
    }


def test_hugging_face_files_are_fetched_by_commit(hub: FakeHub, tmp_path: Path) -> None:
    pull("org/tiny", settings_for(hub, tmp_path, "huggingface"), revision="v2", policy=QUICK)
    assert hub.seen[0].path == "/api/models/org/tiny/revision/v2?blobs=true"
    assert hub.gets(WEIGHTS)[0].path == f"/org/tiny/resolve/{COMMIT}/{WEIGHTS}"


def test_hugging_face_small_files_are_checked_by_their_git_hash(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.script["config.json"] = [{"fault": "flip", "at": 5}]
    place = pull("org/tiny", settings_for(hub, tmp_path, "huggingface"), policy=QUICK)
    assert (place / "config.json").read_bytes() == files()["config.json"]
    assert len(hub.gets("config.json")) == 2


@pytest.mark.parametrize(("revision", "asked"), [("main", "master"), ("v1.0.2", "v1.0.2")])
def test_modelscope_calls_its_main_branch_master(
    hub: FakeHub, tmp_path: Path, revision: str, asked: str
) -> None:
    settings = settings_for(hub, tmp_path, "modelscope")
    pull("org/tiny", settings, revision=revision, policy=QUICK)
    assert hub.seen[0].path == (
        f"/api/v1/models/org/tiny/repo/files?Revision={asked}&Recursive=True"
    )
    assert hub.gets(WEIGHTS)[0].path == (
        f"/api/v1/models/org/tiny/repo?Revision={asked}&FilePath={WEIGHTS}"
    )


def test_modelscope_failure_in_a_good_status(hub: FakeHub, tmp_path: Path) -> None:
    hub.listing_faults = [{"body": '{"Code": 10010205001, "Message": "no such branch"}'}]
    with pytest.raises(FetchError, match="no such branch"):
        pull("org/tiny", settings_for(hub, tmp_path, "modelscope"), policy=QUICK)


def test_a_mirror_has_no_revisions(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no revision 'v2'"):
        pull("org/tiny", settings_for(hub, tmp_path), revision="v2", policy=QUICK)


@pytest.mark.parametrize("heads", [True, False])
def test_a_mirror_without_sums_is_read_by_its_index(
    hub: FakeHub, tmp_path: Path, caplog: pytest.LogCaptureFixture, heads: bool
) -> None:
    shards = {f"model-0000{i}-of-00002.safetensors": content(i, 9000) for i in (1, 2)}
    index = {"weight_map": {f"t{i}": name for i, name in enumerate(shards)}}
    model = {"model.safetensors.index.json": json.dumps(index).encode(), **shards}
    hub.models["sharded"] = {**model, "config.json": b"{}", "tokenizer.model": b"t"}
    hub.lists_sums = False
    hub.heads = heads
    settings = settings_for(hub, tmp_path)
    if not heads:  # then nobody knows what is there
        with pytest.raises(FetchError, match="HTTP 405"):
            pull("sharded", settings, policy=QUICK)
        return
    place = pull("sharded", settings, policy=QUICK)
    assert plain(place) == hub.models["sharded"]
    assert "no SHA256SUMS" in caplog.text
    hub.seen.clear()
    assert pull("sharded", settings, policy=QUICK) == place
    assert not [s for s in hub.seen if s.method == "GET" and s.file in shards]


def test_a_mirror_without_sums_resumes_by_etag_alone(hub: FakeHub, tmp_path: Path) -> None:
    hub.lists_sums = False
    settings = settings_for(hub, tmp_path)
    for version, expected in (("v1", "bytes=40000-"), ("v2", "bytes=40000-")):
        hub.script[WEIGHTS] = [{"fault": "drop", "after": 40000}]
        with pytest.raises(FetchError):
            pull("org/tiny", settings, policy=dataclasses.replace(QUICK, retries=0))
        if version == "v2":
            hub.version = "v3"
        hub.seen.clear()
        place = pull("org/tiny", settings, policy=QUICK)
        assert [s.headers.get("Range") for s in hub.gets(WEIGHTS)] == [expected]
        assert (place / WEIGHTS).read_bytes() == content()
        store.remove("org/tiny", settings)


def test_without_sums_and_etag_there_is_nothing_to_resume_by(hub: FakeHub, tmp_path: Path) -> None:
    hub.lists_sums = hub.etags = False
    hub.script[WEIGHTS] = [{"fault": "drop", "after": 40000}]
    pull("org/tiny", settings_for(hub, tmp_path), policy=QUICK)
    assert [s.headers.get("Range") for s in hub.gets(WEIGHTS)] == [None, None]


def test_the_token_goes_to_the_hubs_address_only(hub: FakeHub) -> None:
    from paddock.inference.checkpoint.hubs.http import Session

    session = Session("http://hub.invalid", {"Authorization": SECRET}, QUICK)
    session.read(f"{hub.url}/mirror/org/tiny/config.json", "config.json")
    session.close()
    assert SECRET not in str(hub.seen[0].headers)


def test_sums_that_are_none(hub: FakeHub, tmp_path: Path) -> None:
    hub.models["org/tiny"] = {**files(), "SHA256SUMS": b"<html>please log in</html>"}
    with pytest.raises(FetchError, match="sha256sum"):
        pull("org/tiny", settings_for(hub, tmp_path), policy=QUICK)


def test_an_unknown_model_names_the_nearest(settings: Settings) -> None:
    with pytest.raises(ModelNotFound, match="did you mean 'meta-llama/Llama-2-13b-hf'"):
        pull("meta-lama/Llama-2-13b-hf", settings, policy=QUICK)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_listing_is_explained(settings: Settings, hub: FakeHub, status: int) -> None:
    hub.listing_faults = [{"status": status}] * 3
    if settings.hub == "mirror":
        hub.script["SHA256SUMS"] = [{"status": status, "always": True}]
        hub.lists_sums = False
        hub.models["llama2-7b"] = {**files(), "SHA256SUMS": b""}
    with pytest.raises(GatedModel, match=r"PADDOCK_HUB_TOKEN=.* paddock pull llama2-7b"):
        pull("llama2-7b", settings, policy=QUICK)


def test_a_gated_model_opens_with_the_token(hub: FakeHub, tmp_path: Path) -> None:
    hub.token = SECRET
    with pytest.raises(GatedModel, match=r"accept its licence at https://huggingface\.co/org/tiny"):
        pull("org/tiny", settings_for(hub, tmp_path, "huggingface"), policy=QUICK)
    with pytest.raises(GatedModel, match="owner of this access token") as caught:
        pull("org/tiny", settings_for(hub, tmp_path, "huggingface", "wrong"), policy=QUICK)
    assert "wrong" not in str(caught.value)
    place = pull("org/tiny", settings_for(hub, tmp_path, "huggingface", SECRET), policy=QUICK)
    assert store.is_complete(place)


def test_a_redirect_never_takes_the_token_to_another_host(settings: Settings, hub: FakeHub) -> None:
    hub.token = None
    # Other host, and the same host with another port: neither is the hub.
    for host in ("localhost", "127.0.0.1"):
        with FakeHub(hub.models) as cdn:
            elsewhere = cdn.url.replace("127.0.0.1", host)
            hub.script[WEIGHTS] = [{"redirect": elsewhere}]
            place = pull("org/tiny", dataclasses.replace(settings, token=SECRET), policy=QUICK)
            assert (place / WEIGHTS).read_bytes() == content()
            assert hub.gets(WEIGHTS)[-1].headers["Authorization"] == f"Bearer {SECRET}"
            assert len(cdn.seen) == 1
            assert SECRET not in str(cdn.seen[0].headers) + cdn.seen[0].path
        assert SECRET not in "".join(map(repr, plain(place))) + (place / store.MANIFEST).read_text()
        store.remove("org/tiny", settings)


def test_a_listing_is_retried(settings: Settings, hub: FakeHub) -> None:
    if settings.hub == "mirror":
        pytest.skip("its listing is a file, which the cases cover")
    hub.listing_faults = [{"status": 503}, {"status": 429, "headers": {"Retry-After": "0"}}]
    assert store.is_complete(pull("org/tiny", settings, policy=QUICK))


def test_a_login_page_in_place_of_a_listing(settings: Settings, hub: FakeHub) -> None:
    if settings.hub == "mirror":
        pytest.skip("its listing is no JSON")
    hub.listing_faults = [{"body": "<html>please log in</html>"}]
    with pytest.raises(FetchError, match="proxy or login page"):
        pull("org/tiny", settings, policy=QUICK)


@pytest.mark.parametrize("trick", ["../outside.safetensors", "/etc/x.safetensors", "a/../../b"])
def test_a_listing_cannot_reach_outside_the_folder(
    settings: Settings, hub: FakeHub, trick: str, tmp_path: Path
) -> None:
    hub.models["org/tiny"] = {**files(), trick: b"x"}
    with pytest.raises(FetchError, match="outside the model's folder"):
        pull("org/tiny", settings, policy=QUICK)
    assert not list(tmp_path.rglob("*outside*"))


def test_no_network_is_said_within_the_patience(settings: Settings, hub: FakeHub) -> None:
    hub.server.server_close()
    with pytest.raises(FetchError, match="cannot reach"):
        pull("org/tiny", settings, policy=QUICK)


def test_a_proxy_of_the_environment_is_used(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    settings = Settings(home=tmp_path, hub="mirror", endpoint="http://models.invalid/mirror")
    assert store.is_complete(pull("org/tiny", settings, policy=QUICK))
    assert hub.seen[0].path.startswith("http://models.invalid/mirror/org/tiny/")


def test_what_is_chosen(hub: FakeHub, tmp_path: Path) -> None:
    from paddock.inference.checkpoint.hubs.base import RemoteFile
    from paddock.inference.checkpoint.hubs.choose import choose

    cases: list[dict[str, Any]] = json.loads(
        (Path(__file__).parent / "cases" / "choose.json").read_text()
    )
    for case in cases:
        listed = [RemoteFile(path, "") for path in case["files"]]
        if "error" in case:
            with pytest.raises((FetchError, UsageError), match=case["error"]):
                choose(listed, case.get("include"), "org/tiny")
        else:
            chosen = choose(listed, case.get("include"), "org/tiny")
            assert [file.path for file in chosen] == case["chosen"], case["about"]
