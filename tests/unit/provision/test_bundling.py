"""What a bundle must hold follows from the steps, and the stack file then takes it from there."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

from provision_contexts import context
from test_provision_steps import EVERYTHING

from paddock.deploy.bundle import Entry, Manifest, Placed
from paddock.deploy.provision import steps
from paddock.deploy.provision.bundling import archive, carried, contents, installed_from
from paddock.deploy.stackfile import ServeWish, Stackfile


def test_the_notes_in_a_bundle(tmp_path: Path) -> None:
    of = EVERYTHING["notes"]
    found = [step for step in steps(of) if not step.id.startswith("serve.")]
    wish = contents(of, found, tmp_path)
    assert (wish.arch, wish.python, wish.system) == ("aarch64", "3.9", "ubuntu:focal")
    assert wish.index == "https://m.example.org/pypi/simple"
    assert [name for name, _ in wish.installers] == [
        "Ascend-cann-toolkit_7.0.0_linux-aarch64.run",
        "Ascend-cann-kernels-910_7.0.0_linux.run",
    ]
    assert {"gcc", "libblas3", "openssh-server"} <= set(wish.packages)
    groups = [group.requirements for group in wish.wheels]
    assert any(any("mindspore-2.2.13-cp39" in each for each in group) for group in groups)
    assert ("mindinsight==2.3.1",) not in groups  # the stack has no version of it: any
    bounds = {line for group in wish.wheels for line in group.constraints}
    assert {"numpy==1.24.0", "protobuf==3.20.3", "mindformers==1.0.2"} <= bounds
    assert contents(of, found, tmp_path, packages=False).packages == ()


def test_a_path_of_a_model_cannot_lead_out_of_the_bundle(tmp_path: Path) -> None:
    of = context(None, "cpu", engine="none")
    of = replace(of, file=replace(of.file, model="/srv/models/llama2-7b", serve=ServeWish()))
    wish = contents(of, [], tmp_path, weights=tmp_path)
    assert wish.model == "llama2-7b"


def test_the_stack_file_then_names_the_bundle() -> None:
    today = datetime.date(2026, 11, 25)
    made = Manifest("x", today, "aarch64", "3.9", "ubuntu:focal", (), model="llama2-7b")
    there = Placed("/media/usb", "/srv/bundle", made)
    file = installed_from(Stackfile(model="llama2-7b"), there)
    assert file.model == "/srv/bundle/models/llama2-7b"
    assert file.stack.artifacts == "/srv/bundle"
    other = installed_from(Stackfile(model="llama2-13b"), there)
    assert other.model == "llama2-13b"


def test_the_image_comes_from_where_it_lies() -> None:
    today = datetime.date(2026, 11, 25)
    entry = Entry("images/base-1.tar", 9, "5" * 64)
    made = Manifest(
        "x", today, "aarch64", None, "", (entry,), image="base:1", image_ids=("1" * 64,)
    )
    of = context(None, "cpu", artifacts="/srv/bundle")
    assert carried(of) == []
    found = archive(of, "base:1")  # a folder of whoever set stack.artifacts: it may be there
    assert found is not None and (found.path, found.sha256) == ("/srv/bundle/images/base-1.tar", "")
    sent = replace(of, bundle=Placed("/media/usb", "/srv/bundle", made))
    found = archive(sent, "base:1")
    assert found is not None
    assert (found.sha256, found.ids) == ("5" * 64, ("1" * 64,))
    assert found.source == "/media/usb/images/base-1.tar"
    assert [step.id for step in carried(sent)] == ["bundle.files"]
    here = replace(of, bundle=Placed("/srv/bundle", "/srv/bundle", made, sends=False))
    found = archive(here, "base:1")
    assert found is not None and found.source is None
    assert carried(here) == []
    found = archive(sent, "other:1")
    assert found is not None and not found.sha256
    assert archive(context(None, "cpu"), "base:1") is None
