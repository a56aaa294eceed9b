"""What holds for every host and every wish: nothing is given that the facts lack."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from test_spec_cases import host

from paddock.deploy.container import ContainerSpec, Mount, Published, argv, build
from paddock.deploy.container.compose import compose
from paddock.deploy.host import Host
from paddock.deploy.host.facts import Ascend, Engine, Nvidia
from paddock.deploy.stackfile import Stackfile
from paddock.errors import UsageError

FULL = host(["910b4-x8-fresh", "910a-install-info", "hccn-conf-x8"], ["ascend-8", "docker"])
GPUS = host(["nvidia-a100-x2"], ["podman-cdi"])
assert FULL.ascend and GPUS.nvidia


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    name = draw(st.sampled_from(["docker", "podman", "isula"]))
    runtimes = draw(st.sets(st.sampled_from(["ascend", "nvidia"])))
    engine = Engine(name, f"/usr/bin/{name}", answers=True, runtimes=tuple(sorted(runtimes)))
    if draw(st.booleans()):
        facts: Nvidia = GPUS.nvidia  # type: ignore[assignment]
        cdi = draw(st.sets(st.sampled_from(facts.cdi)))
        nvidia = replace(facts, cdi=tuple(sorted(cdi)), container_toolkit=None)
        return replace(GPUS, engines=(engine,), nvidia=nvidia)
    ascend: Ascend = FULL.ascend  # type: ignore[assignment]
    nodes = draw(st.sets(st.sampled_from(ascend.nodes)))
    paths = draw(st.none() | st.sets(st.sampled_from(ascend.paths or ())).map(tuple))
    few = replace(ascend, nodes=tuple(nodes), paths=paths)
    return replace(FULL, engines=(engine,), ascend=few)


WISHES = st.fixed_dictionaries(
    {
        "engine": st.just("auto"),
        "devices": st.sampled_from(["auto", "none"]) | st.lists(st.integers(0, 8), max_size=4),
        "network": st.sampled_from(["bridge", "host", "none", "own"]),
        "ipc": st.none() | st.sampled_from(["host", "private"]),
        "shm": st.none() | st.sampled_from(["64m", "128G"]),
        "privileged": st.booleans(),
        "restart": st.sampled_from(["no", "always", "unless-stopped", "on-failure:3"]),
    }
)


@settings(deadline=None)  # machines may be slow
@given(hosts(), WISHES)
def test_nothing_is_given_that_the_facts_lack(there: Host, wish: dict[str, object]) -> None:
    file = msgspec.convert({"container": wish, "serve": {"enabled": False}}, Stackfile)
    try:
        spec = build(file, there, None).spec
    except UsageError as error:
        assert error.hint
        return
    nodes = {node.path for node in there.ascend.nodes} if there.ascend else set()
    names = set(there.nvidia.cdi) if there.nvidia else set()
    words = argv(spec)
    assert {b for a, b in itertools.pairwise(words) if a == "--device"} <= nodes | names
    known = set(there.ascend.paths or ()) | {"/etc/ascend_install.info"} if there.ascend else set()
    smi = there.ascend.npu_smi.path if there.ascend and there.ascend.npu_smi else None
    assert {mount.source for mount in spec.mounts} <= known | {smi}
    given_ = {int(n) for word in spec.devices for n in re.findall(r"davinci(\d+)$", word)}
    if isinstance(file.container.devices, tuple) and spec.devices:
        assert given_ == set(file.container.devices)
    assert spec.privileged == bool(wish["privileged"])
    assert "-v" not in words
    assert ("--privileged" in words) == spec.privileged
    assert compose(spec)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
SPECS = st.builds(
    ContainerSpec,
    name=TEXT,
    image=TEXT,
    engine=st.sampled_from(["docker", "podman", "isula"]),
    command=st.none() | st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    devices=st.lists(TEXT, max_size=3).map(tuple),
    gpus=st.none() | TEXT,
    mounts=st.lists(st.builds(Mount, TEXT, TEXT, st.booleans()), max_size=3).map(tuple),
    ports=st.lists(
        st.builds(Published, st.integers(1, 65535), st.integers(1, 65535), TEXT), max_size=3
    ).map(tuple),
    shm=st.none() | st.integers(1, 2**40),
    ulimits=st.dictionaries(TEXT, st.integers(-1, 2**40), max_size=3),
    environment=st.dictionaries(TEXT, TEXT, max_size=3),
    groups=st.lists(st.integers(0, 2**31), max_size=3).map(tuple),
    privileged=st.booleans(),
)


@settings(deadline=None)  # machines may be slow
@given(SPECS)
def test_a_spec_comes_back_from_json(spec: ContainerSpec) -> None:
    again = ContainerSpec.from_json(spec.to_json())
    assert again == spec
    assert again.digest == spec.digest


@settings(deadline=None)  # machines may be slow
@given(SPECS, SPECS)
def test_only_equal_specs_have_no_difference(one: ContainerSpec, other: ContainerSpec) -> None:
    label = one.labels["io.paddock.spec"]
    assert list(one.differences(label)) == []
    assert bool(list(other.differences(label))) == (one != other)


@settings(deadline=None)  # machines may be slow
@given(SPECS)
def test_no_value_of_a_variable_is_in_the_label(spec: ContainerSpec) -> None:
    secret = replace(spec, environment={"X": "correct horse battery staple"})
    assert "horse" not in "".join(secret.labels.values())
