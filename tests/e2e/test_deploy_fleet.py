"""Eight hosts at once over SSH: what happens to one does not happen to the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from paddock.deploy.plan import Deployment, Options
from paddock.deploy.rehearse import model
from paddock.deploy.rehearse.site import Site
from paddock.deploy.stackfile import Stackfile, loads

pytestmark = pytest.mark.e2e

COUNT = 8


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, needs_root: None) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("fleet") / "site") as site:
        for number in range(1, COUNT + 1):
            site.add(model.load("cpu"), f"node{number}", engine=False)
        yield site


def stack_file(site: Site) -> Stackfile:
    """The package lists of every host: one step, which asks the network for nothing."""
    values = {
        "name": "fleet",
        "hosts": [
            {"name": name, "address": f"ssh://root@{host.address}"}
            for name, host in site.hosts.items()
        ],
        "mirrors": {"apt": "http://mirror.example"},
        "stack": {"framework": "paddock"},
        "serve": {"enabled": False},
    }
    return loads(yaml.safe_dump(values))


def deployment(site: Site, state: Path, limit: tuple[str, ...] = ()) -> Deployment:
    reach = {name: site.runner(host) for name, host in site.hosts.items()}
    # It will not answer: not for as long as a busy machine may need.
    reach["node3"] = replace(reach["node3"], connect_timeout=5)
    return Deployment(
        stack_file(site),
        state,
        reach=lambda entry: reach[entry.name],
        options=Options(limit=limit),
    )


def test_six_are_done_and_two_say_why_not(fleet: Site, tmp_path: Path) -> None:
    alone = deployment(fleet, tmp_path / "alone", ("node1",))
    began = time.monotonic()
    assert all(result.ok for result in alone.up(alone.plan()))
    one = time.monotonic() - began
    assert all(result.ok for result in alone.down())

    fleet.cut(fleet.hosts["node3"])
    full = fleet.hosts["node6"]
    script = (
        "mkdir -p /var/lib/paddock && mount -t tmpfs -o size=64k tmpfs /var/lib/paddock &&"
        " { cat /dev/zero >/var/lib/paddock/filled || true; }"
    )
    assert full.enter(["sh", "-c", script]).ok

    together = deployment(fleet, tmp_path / "together")
    began = time.monotonic()
    plan = together.plan()
    results = {result.host: result for result in together.up(plan)}
    eight = time.monotonic() - began
    print(f"one host {one:.1f} s, eight at once {eight:.1f} s")

    good = {name for name, result in results.items() if result.ok}
    assert good == {f"node{n}" for n in (1, 2, 4, 5, 7, 8)}
    gone, filled = results["node3"].failure, results["node6"].failure
    assert gone is not None
    assert "cannot reach ssh://root@" in gone.message
    assert filled is not None
    assert "o space left on device" in filled.message + filled.log

    # Mended, both are gone on with; the others have nothing to do.
    fleet.cut(fleet.hosts["node3"], off=False)
    assert full.enter(["umount", "/var/lib/paddock"]).ok
    plan = together.plan()
    assert {host.host for host in plan.hosts if host.todo} == {"node3", "node6"}
    assert all(result.ok for result in together.up(plan))
    assert together.plan().empty
    assert all(result.ok for result in together.down())
