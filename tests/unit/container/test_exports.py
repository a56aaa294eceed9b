"""Compose files and Kubernetes objects of every case, held to the published schemas."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import msgspec
import pytest
import yaml
from test_spec_cases import CASES, host, stack, toml

from paddock.deploy.container import ContainerSpec, Mount, Published, build
from paddock.deploy.container.compose import compose
from paddock.deploy.container.kubernetes import RESOURCES, Node, cards, kubernetes
from paddock.deploy.container.process import MAIN
from paddock.deploy.stackfile import Stackfile
from paddock.errors import UsageError

kubernetes_validate = pytest.importorskip("kubernetes_validate")
jsonschema = pytest.importorskip("jsonschema")
check_jsonschema = pytest.importorskip("check_jsonschema")

GOOD = [path for path in CASES if "error" not in toml(path)]


def spec_of(path: Any) -> ContainerSpec:
    case = toml(path)
    versions = stack(**case["stack"]) if "stack" in case else None
    there = host(case.get("recordings", []), case["facts"])
    return build(msgspec.convert(case["file"], Stackfile), there, versions).spec


def compose_schema() -> Any:
    """The Compose specification's own schema, as check-jsonschema carries it."""
    folder = resources.files(check_jsonschema) / "builtin_schemas" / "vendor"
    return jsonschema.Draft7Validator(
        json.loads((folder / "compose-spec.json").read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_compose_files_are_valid(path: Any) -> None:
    spec = spec_of(path)
    document = yaml.safe_load(compose(spec))
    errors = [error.message for error in compose_schema().iter_errors(document)]
    assert errors == []
    service = document["services"][spec.name]
    assert [device.partition(":")[0] for device in service.get("devices", [])] == list(spec.devices)
    assert "secret" not in json.dumps(document).replace("secretKeyRef", "")
    if spec.command:
        assert service["command"][1].replace("$$", "$") == MAIN


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_kubernetes_objects_are_valid(path: Any) -> None:
    spec = spec_of(path)
    node = Node("910", "aarch64", cards(spec, gpus=2), ready=8000)
    documents = list(yaml.safe_load_all(kubernetes(spec, node)))
    kinds = [document["kind"] for document in documents]
    assert kinds == (["Deployment", "Service"] if spec.ports else ["Deployment"])
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    pod = documents[0]["spec"]["template"]["spec"]
    limits = pod["containers"][0].get("resources", {}).get("limits", {})
    assert limits == ({"huawei.com/Ascend910": node.cards} if node.cards else {})
    assert {v["name"] for v in pod.get("volumes", [])} == {
        m["name"] for m in pod["containers"][0].get("volumeMounts", [])
    }


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("910a-docker-as-in-the-notes", 8),
        ("910b4-ascend-runtime", 4),
        ("310p-duo", 2),
        ("nvidia-docker", 2),
        ("nvidia-docker-one", 2),
        ("nvidia-podman-cdi", 2),
        ("cpu-docker", 0),
    ],
)
def test_cards_are_counted(name: str, count: int) -> None:
    spec = spec_of(next(path for path in CASES if path.stem == name))
    assert cards(spec, gpus=2) == count


def test_every_chip_of_the_catalogue_is_named_or_refused() -> None:
    from paddock.deploy.catalog import load

    spec = ContainerSpec(name="llama", image="x:1")
    for release in load().releases["chip"]:
        node = Node(release.version, "x86_64", 1)
        if release.version in RESOURCES:
            assert RESOURCES[release.version] in kubernetes(spec, node)
        else:
            with pytest.raises(UsageError, match="no source names"):
                kubernetes(spec, node)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"name": "Llama_2"}, "no name for Kubernetes"), ({"user": "lin"}, "takes numbers only")],
)
def test_what_kubernetes_has_not_is_refused(changes: dict[str, Any], words: str) -> None:
    spec = ContainerSpec(**({"name": "llama", "image": "x:1"} | changes))
    with pytest.raises(UsageError, match=words):
        kubernetes(spec, Node("cpu", None, 0))


def test_options_that_no_case_has() -> None:
    spec = ContainerSpec(
        name="llama",
        image="x:1",
        user="1000:1000",
        mounts=(Mount("/a$b", "/data"),),
        ports=(Published(80, 8000, "::1"),),
        environment={"PROMPT": "cost: $5 $(x)", "HF_TOKEN": "hf_x"},
        cap_add=("IPC_LOCK",),
        privileged=True,
    )
    document = yaml.safe_load(compose(spec))
    assert list(compose_schema().iter_errors(document)) == []
    service = document["services"]["llama"]
    assert service["environment"] == {"HF_TOKEN": None, "PROMPT": "cost: $$5 $$(x)"}
    assert service["volumes"][0]["source"] == "/a$$b"
    pod = next(yaml.safe_load_all(kubernetes(spec, Node("cpu", None, 0))))
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    container = pod["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [
        {
            "name": "HF_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "llama", "key": "HF_TOKEN"}},
        },
        {"name": "PROMPT", "value": "cost: $5 $$(x)"},
    ]
