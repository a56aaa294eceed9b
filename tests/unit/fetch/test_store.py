"""Names and the places they lead to."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakehub import FakeHub
from fetchkit import QUICK, WEIGHTS, settings_for

from paddock.errors import ModelNotFound, UsageError
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.fetch import pull
from paddock.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", checkpoint_download=tmp_path / "checkpoint_download")


def test_the_known_names() -> None:
    assert list(store.KNOWN) == [
        "llama2-7b",
        "llama2-7b-chat",
        "llama2-13b",
        "llama2-13b-chat",
        "llama2-70b",
        "llama2-70b-chat",
    ]
    assert store.KNOWN["llama2-13b-chat"] == store.Known(
        "meta-llama/Llama-2-13b-chat-hf", "modelscope/Llama-2-13b-chat-ms", None
    )
    assert store.KNOWN["llama2-70b"].mindformers == "llama2_70b"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("llama2_7b", "llama2-7b"),
        ("Llama-2-7b-chat", "llama2-7b-chat"),
        ("LLAMA2_70B_CHAT", "llama2-70b-chat"),
        ("demo", "demo"),
        ("Org/My_Model", "Org/My_Model"),
    ],
)
def test_spellings(given: str, name: str) -> None:
    assert store.canonical(given) == name


def test_no_name_is_the_built_in_model(home: Settings) -> None:
    try:
        path = store.locate(None, home)
    except ModelNotFound as error:
        assert "missing from this installation" in str(error)
        pytest.skip("the built-in model is not part of this checkout")
    assert path.is_dir() and path == store.locate("demo", home)


def test_a_path_is_itself(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "model.gguf").touch()
    assert store.locate("mine", home) == Path("mine")
    assert store.locate(tmp_path / "model.gguf", home) == tmp_path / "model.gguf"
    for missing in ("./gone", "/a/b", "a/b/c", Path("gone")):
        with pytest.raises(ModelNotFound, match="no file or folder"):
            store.locate(missing, home)


def test_a_pulled_model_is_found_under_its_names(hub: FakeHub, tmp_path: Path) -> None:
    settings = settings_for(hub, tmp_path, "huggingface")
    place = pull("meta-llama/Llama-2-7b-hf", settings, policy=QUICK)
    assert place.name == "meta-llama--Llama-2-7b-hf"
    for name in ("llama2-7b", "llama2_7b", "meta-llama/Llama-2-7b-hf"):
        assert store.locate(name, settings) == place
    (place / WEIGHTS).write_bytes(b"short")
    with pytest.raises(ModelNotFound, match="incomplete"):
        store.locate("llama2-7b", settings)


def test_mindformers_folder(home: Settings) -> None:
    folder = home.checkpoint_download / "llama2"
    folder.mkdir(parents=True)
    (folder / "llama2_7b.ckpt").touch()
    assert store.locate("llama2_7b", home) == folder
    assert store.locate("llama2-7b", home) == folder
    (folder / "llama2_13b.ckpt").touch()
    assert store.locate("llama2_13b", home) == folder / "llama2_13b.ckpt"
    with pytest.raises(ModelNotFound):
        store.locate("llama2-7b-chat", home)


def test_not_found_says_where_and_how(home: Settings) -> None:
    with pytest.raises(ModelNotFound) as caught:
        store.locate("llama2_7b", home)
    text = str(caught.value)
    assert str(home.models / "llama2-7b") in text
    assert str(home.checkpoint_download / "llama2" / "llama2_7b.ckpt") in text
    assert text.endswith("(to download it: paddock pull llama2-7b)")
    with pytest.raises(ModelNotFound, match="did you mean 'llama2-7b'"):
        store.locate("lama2_7b", home)


def test_list_and_remove(hub: FakeHub, tmp_path: Path) -> None:
    settings = settings_for(hub, tmp_path)
    assert store.list_models(settings) == []
    place = pull("org/tiny", settings, policy=QUICK)
    half = settings.models / "org--half"
    half.mkdir()
    (half / "model.safetensors.part").write_bytes(b"123")
    listed = store.list_models(settings)
    assert [(m.name, m.complete, m.path) for m in listed] == [
        ("org/half", False, half),
        ("org/tiny", True, place),
    ]
    assert listed[0].bytes == 3 and listed[1].bytes > 106_000
    assert listed[1].source == f"{hub.url}/mirror/org/tiny"
    assert store.remove("org/tiny", settings) == place and not place.exists()
    assert store.remove("org/half", settings) == half
    assert store.list_models(settings) == []


def test_what_is_never_removed(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    home.models.mkdir(parents=True)
    (home.models / "link").symlink_to(tmp_path / "precious")
    for name in ("../precious", "..", "demo", str(tmp_path / "precious")):
        with pytest.raises(UsageError):
            store.remove(name, home)
    for name in ("link", "absent"):
        with pytest.raises(ModelNotFound):
            store.remove(name, home)
    assert (tmp_path / "precious").is_dir()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [1]}', '{"files": [], "x": 1}'])
def test_a_manifest_that_is_none_completes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / store.MANIFEST).write_text(text)
    assert not store.is_complete(tmp_path)
