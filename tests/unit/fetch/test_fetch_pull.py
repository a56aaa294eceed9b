"""A pull as a whole: what is skipped, updated, refused, shared and interrupted."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fakehub import FakeHub
from fetchkit import QUICK, WEIGHTS, content, files, plain, settings_for

from paddock.errors import FetchError, UsageError
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.fetch import pull
from paddock.settings import Settings


def test_a_complete_model_is_not_fetched_again(settings: Settings, hub: FakeHub) -> None:
    place = pull("org/tiny", settings, policy=QUICK)
    hub.seen.clear()
    calls: list[tuple[str, int, int | None]] = []
    assert pull("org/tiny", settings, progress=lambda *c: calls.append(c), policy=QUICK) == place
    assert not [s for s in hub.seen if s.file in files() and s.method == "GET"]
    assert (WEIGHTS, 100_000, 100_000) in calls


def test_a_finished_file_of_an_unfinished_model_is_hashed_not_fetched(
    settings: Settings, hub: FakeHub
) -> None:
    place = pull("org/tiny", settings, policy=QUICK)
    (place / store.MANIFEST).unlink()
    (place / "tokenizer.model").write_bytes(b"x" * 6000)  # the right size, the wrong content
    hub.seen.clear()
    assert plain(pull("org/tiny", settings, policy=QUICK))["tokenizer.model"] == content(1, 6000)
    assert [s.file for s in hub.seen if s.file in files() and s.method == "GET"] == [
        "tokenizer.model"
    ]


def test_an_update_replaces_what_changed_and_drops_what_is_gone(
    settings: Settings, hub: FakeHub
) -> None:
    shards = {"model-1-of-2.safetensors": content(4, 9000), WEIGHTS: content()}
    hub.models["org/tiny"] = {**files(), **shards}
    place = pull("org/tiny", settings, policy=QUICK)
    (place / "my-notes.txt").write_text("kept")
    hub.models["org/tiny"] = {**files(), WEIGHTS: content(8)}
    hub.seen.clear()
    pull("org/tiny", settings, policy=QUICK)
    assert plain(place)[WEIGHTS] == content(8)
    assert not (place / "model-1-of-2.safetensors").exists()
    assert (place / "my-notes.txt").exists()
    assert len(hub.gets(WEIGHTS)) == 1 and not hub.gets("config.json")


def test_half_an_update_is_not_a_complete_model(settings: Settings, hub: FakeHub) -> None:
    place = pull("org/tiny", settings, policy=QUICK)
    hub.models["org/tiny"] = {**files(), WEIGHTS: content(8)}  # all sizes as before
    hub.script[WEIGHTS] = [{"status": 418}]
    with pytest.raises(FetchError):
        pull("org/tiny", settings, policy=QUICK)
    assert not store.is_complete(place)


def test_include_adds_to_what_is_there(settings: Settings, hub: FakeHub) -> None:
    place = pull("org/tiny", settings, include=["config.*", "README.md"], policy=QUICK)
    assert set(plain(place)) == {"config.json", "README.md"} and store.is_complete(place)
    pull("org/tiny", settings, policy=QUICK)
    assert WEIGHTS in plain(place) and "README.md" in plain(place)
    manifest = store.read_manifest(place)
    assert manifest and {f.path for f in manifest.files} == set(plain(place))


def test_progress_counts_up_to_the_size_and_goes_on_from_a_part(
    settings: Settings, hub: FakeHub
) -> None:
    calls: list[tuple[str, int, int | None]] = []
    hub.script[WEIGHTS] = [{"fault": "drop", "after": 30000}]
    with pytest.raises(FetchError):
        pull("org/tiny", settings, policy=dataclasses.replace(QUICK, retries=0))
    pull("org/tiny", settings, progress=lambda *call: calls.append(call), policy=QUICK)
    seen = [done for path, done, _ in calls if path == WEIGHTS]
    assert seen[0] == 30000 and seen[-1] == 100_000 and seen == sorted(seen)
    assert {total for path, _, total in calls if path == WEIGHTS} == {100_000}
    assert ("NOTICE", 0, 0) in calls


def test_an_error_in_the_callback_stops_the_pull(hub: FakeHub, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pull("org/tiny", settings_for(hub, tmp_path), progress=fail, policy=QUICK)


@pytest.mark.parametrize("parallel", [1, 4])
def test_parallel_files(hub: FakeHub, tmp_path: Path, parallel: int) -> None:
    hub.script[WEIGHTS] = [{"status": 403}]
    settings = settings_for(hub, tmp_path)
    policy = dataclasses.replace(QUICK, parallel=parallel)
    with pytest.raises(FetchError):
        pull("org/tiny", settings, policy=policy)
    assert store.is_complete(pull("org/tiny", settings, policy=policy))


def test_retry_after_is_waited_for(hub: FakeHub, tmp_path: Path) -> None:
    hub.script[WEIGHTS] = [{"status": 429, "headers": {"Retry-After": "1"}}]
    pull("org/tiny", settings_for(hub, tmp_path), policy=QUICK)
    first, second = hub.gets(WEIGHTS)
    assert second.at - first.at > 0.8  # without the header it would be 0.005


def test_progress_renews_the_patience(hub: FakeHub, tmp_path: Path) -> None:
    drop = {"fault": "drop", "after": 12000, "always": True}
    hub.script[WEIGHTS] = [drop]
    policy = dataclasses.replace(QUICK, retries=1, refill=10_000)
    pull("org/tiny", settings_for(hub, tmp_path), policy=policy)
    assert len(hub.gets(WEIGHTS)) == 9  # 100,000 / 12,000


def test_going_back_to_zero_does_not_renew_it(hub: FakeHub, tmp_path: Path) -> None:
    drop = {"fault": "drop", "after": 12000}
    back = {"status": 416}
    hub.script[WEIGHTS] = [drop, back] * 20
    policy = dataclasses.replace(QUICK, retries=5, refill=10_000)
    with pytest.raises(FetchError, match="given up"):
        pull("org/tiny", settings_for(hub, tmp_path), policy=policy)


def test_no_room_is_seen_before_the_first_byte(settings: Settings, hub: FakeHub) -> None:
    if settings.hub == "mirror":
        pytest.skip("its sizes are those of its files")
    hub.claims[WEIGHTS] = 10**18
    with pytest.raises(FetchError, match=r"needs 1,000,000,000\.0 GB more, but .* GB free"):
        pull("org/tiny", settings, policy=QUICK)
    assert not hub.gets("config.json")


def test_a_folder_that_cannot_be_written(hub: FakeHub, tmp_path: Path) -> None:
    settings = settings_for(hub, tmp_path)
    place = store.folder("org/tiny", settings)
    (place / f"{WEIGHTS}.part").mkdir(parents=True)  # root may write anywhere, but not there
    with pytest.raises(FetchError, match=r"cannot write .*part"):
        pull("org/tiny", settings, policy=QUICK)


def test_a_store_that_cannot_be_made(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match="set PADDOCK_HOME"):
        pull("org/tiny", settings_for(hub, tmp_path / "file"), policy=QUICK)


def test_offline_is_said_at_once_unless_the_model_is_here(settings: Settings, hub: FakeHub) -> None:
    offline = dataclasses.replace(settings, offline=True)
    with pytest.raises(FetchError, match="Paddock is offline"):
        pull("org/tiny", offline)
    place = pull("org/tiny", settings, policy=QUICK)
    hub.seen.clear()
    assert pull("org/tiny", offline) == place
    with pytest.raises(FetchError, match="Paddock is offline"):
        pull("org/tiny", offline, revision="v2")
    assert not hub.seen


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b/c", "a/..", "", "a b", "-x", "a--b"])
def test_a_name_that_is_none_is_refused(hub: FakeHub, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a model"):
        pull(name, settings_for(hub, tmp_path))
    assert not hub.seen and not list(tmp_path.iterdir())


def test_two_pulls_at_once_fetch_once(
    hub: FakeHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.script[WEIGHTS] = [{"fault": "slow"}]
    settings = settings_for(hub, tmp_path)
    results: list[Path] = []

    def one() -> None:
        results.append(pull("org/tiny", settings, policy=dataclasses.replace(QUICK, timeout=5)))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: bool(hub.gets(WEIGHTS)))
    with pytest.raises(FetchError, match="being pulled by another process"):
        pull("org/tiny", settings, policy=dataclasses.replace(QUICK, lock_wait=0))
    with pytest.raises(FetchError, match="was not removed"):
        store.remove("org/tiny", settings)
    for thread in threads:
        thread.join()
    assert len(results) == 2 and store.is_complete(results[0])
    assert len(hub.gets(WEIGHTS)) == 1
    assert "waiting for it" in caplog.text


def test_ctrl_c_leaves_a_part_that_the_next_pull_goes_on_with(hub: FakeHub, tmp_path: Path) -> None:
    hub.script[WEIGHTS] = [{"fault": "slow"}]
    settings = settings_for(hub, tmp_path)
    program = (
        "from pathlib import Path; from paddock.settings import Settings;"
        "from paddock.inference.checkpoint.fetch import pull;"
        f"pull('org/tiny', Settings(home=Path({str(tmp_path)!r}), hub='mirror',"
        f" endpoint={settings.endpoint!r}))"
    )
    source = str(Path(__file__).parents[3] / "src")
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": source},
        stderr=subprocess.PIPE,
        text=True,
    )
    part = store.folder("org/tiny", settings) / f"{WEIGHTS}.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 5000)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=20)
    assert child.returncode != 0 and "KeyboardInterrupt" in stderr
    left = part.stat().st_size
    assert 5000 < left < 100_000
    hub.seen.clear()
    place = pull("org/tiny", settings, policy=QUICK)
    assert [s.headers["Range"] for s in hub.gets(WEIGHTS)] == [f"bytes={left}-"]
    assert (place / WEIGHTS).read_bytes() == content()


def wait_for(condition: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
