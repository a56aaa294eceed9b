"""Rank tables: made from recorded hosts, against golden files, and everything that is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paddock.cli.main import main
from paddock.deploy import ranktable
from paddock.deploy.host import target
from paddock.deploy.host.devices import Ascend, HccnPort, Rank
from paddock.deploy.host.facts import Host
from paddock.errors import FactsError, UsageError

HERE = Path(__file__).parent
RECORDED = HERE.parents[1] / "hosts"
A, B = "10.0.0.1", "10.0.0.2"


def host(last: int, devices: int = 2, **ports: Any) -> Host:
    hccn = tuple(HccnPort(i, f"192.168.{i}.{last}", "255.255.255.0") for i in range(devices))
    return Host(hostname=f"npu{last}", ascend=Ascend(hccn=hccn))


def two_hosts() -> tuple[Rank, ...]:
    # 10.0.0.10 given first: by text it would also come first.
    return ranktable.ranks(
        [ranktable.from_host(host(10), "10.0.0.10"), ranktable.from_host(host(2), "10.0.0.2")]
    )


@pytest.mark.parametrize("form", ranktable.FORMS)
def test_what_is_written_is_the_golden_file_and_reads_back(form: str) -> None:
    golden = (HERE / "golden" / f"two_hosts_{form}.json").read_text()
    assert ranktable.write(two_hosts(), form) == golden
    assert ranktable.read(golden) == (form, two_hosts())


def test_servers_are_ordered_by_number_not_by_text() -> None:
    assert [rank.server for rank in two_hosts()] == ["10.0.0.2"] * 2 + ["10.0.0.10"] * 2
    assert [rank.rank for rank in two_hosts()] == [0, 1, 2, 3]


def test_a_recorded_host_of_eight_cards() -> None:
    facts = target.facts(file=RECORDED / "hccn-conf-x8")
    server = ranktable.from_host(facts, "10.0.0.1", [4, 5, 6, 7])
    assert server.devices[0] == (4, "192.168.10.22")
    table = json.loads(
        ranktable.write(ranktable.ranks([server]), containers={"10.0.0.1": "172.17.0.2"})
    )
    (only,) = table["server_list"]
    assert only["container_ip"] == "172.17.0.2"
    assert [d["device_id"] for d in only["device"]] == ["4", "5", "6", "7"]
    assert [d["rank_id"] for d in only["device"]] == ["0", "1", "2", "3"]


def test_what_a_port_really_has_goes_before_its_file() -> None:
    port = HccnPort(0, "192.168.0.9", live_address="192.168.0.1")
    server = ranktable.from_host(Host(ascend=Ascend(hccn=(port,))), "10.0.0.1")
    assert server.devices == ((0, "192.168.0.1"),)


@pytest.mark.parametrize("name", ["rank-table-1.0", "rank-table-legacy"])
def test_published_tables_are_read(name: str) -> None:
    (text,) = (
        path.read_text() for path in (RECORDED / name).glob("*.json") if "expected" not in path.name
    )
    form, ranks = ranktable.read(text)
    assert form == name.removeprefix("rank-table-")
    other = ranktable.FORMS[1 - ranktable.FORMS.index(form)]
    assert ranktable.read(ranktable.write(ranks, other)) == (other, ranks)


def table(**changes: Any) -> dict[str, Any]:
    whole = json.loads(ranktable.write(two_hosts()))
    return {**whole, **changes}


def devices(*rows: tuple[int, int, str]) -> list[dict[str, Any]]:
    return [
        {
            "device": [{"device_id": str(d), "device_ip": ip, "rank_id": str(r)}],
            "server_id": f"10.0.0.{r + 1}",
        }
        for r, d, ip in rows
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "no rank table"),
        ("{", "no rank table"),
        (json.dumps({"version": "1.0"}), "'group_list' is missing"),
        (json.dumps(table(version="1.2")), r"its version is '1.2', 1.0 is what is known"),
        (json.dumps(table(status="initializing")), "its status is 'initializing'"),
        (json.dumps(table(server_count="3")), "its server_count is 3, and 2 are listed"),
        ('{"version": "1.0", "version": "1.0"}', "a key stands twice"),
        (json.dumps(table(server_list=devices((0, 0, "1.1.1.1"), (2, 0, "1.1.1.2")))),
         "the ranks are 0, 2"),
        (json.dumps(table(server_list=devices((0, 0, "1.1.1.1"), (1, 0, "1.1.1.1")))),
         "the address 1.1.1.1 is in the table twice"),
        (json.dumps(table(server_list=devices((0, 0, "1.1.1.1"), (1, 0, "")))),
         "rank 1 has no address of its device"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(FactsError, match=f"hccl.json.*{words}"):
        ranktable.read(text, "hccl.json")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "the ranks are none"),
        ([(0, 0, "1.1.1.1", None)], "rank 0 has no server"),
        ([(0, 0, "1.1.1.1", "127.0.1.1")], "127.0.1.1, which other hosts cannot reach"),
        ([(0, 0, "1.1.1.1", "npu1")], "the server of rank 0 is 'npu1'"),
        ([(0, 0, "1.1.1.1", A), (1, 0, "1.1.1.2", A)], "device 0 of 10.0.0.1 is"),
        ([(0, 0, "1.1.1.1", A), (1, 0, "1.1.1.2", B), (2, 1, "1.1.1.3", B)],
         r"different numbers of devices \(10.0.0.1: 1, 10.0.0.2: 2\)"),
        ([(0, 0, "1.1.1.1", A), (1, 0, "1.1.1.2", B), (2, 1, "1.1.1.3", A), (3, 1, "1.1.1.4", B)],
         "do not follow one another"),
    ],
)  # fmt: skip
def test_tables_that_hccl_would_fail_on(rows: list[Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ranktable.check([Rank(*row) for row in rows])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((Host(), "10.0.0.1"), "no chip with a network port"),
        ((host(1), "10.0.0.1", [0, 7]), r"device 7 of local has no address.*devices 0, 1"),
        ((host(1), "localhost"), "'localhost'.*not a name"),
        ((host(1), "0.0.0.0"), "cannot reach"),
    ],
)
def test_hosts_that_cannot_be_in_a_table(arguments: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ranktable.from_host(*arguments)


def test_the_command_makes_checks_and_converts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for last in (2, 10):
        (tmp_path / f"npu{last}.json").write_text(host(last).to_json())
    out = tmp_path / "table.json"
    servers = [f"10.0.0.{last}={tmp_path}/npu{last}.json" for last in (10, 2)]
    assert main(["ranktable", "make", *servers, "--devices", "0-1", "--out", str(out)]) == 0
    assert out.read_text() == (HERE / "golden" / "two_hosts_1.0.json").read_text()
    assert out.stat().st_mode & 0o777 == 0o640
    capsys.readouterr()
    assert main(["ranktable", "check", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[3] == "3\t10.0.0.10\t1\t192.168.1.10"
    assert main(["ranktable", "check", str(out), "--form", "legacy"]) == 0
    assert capsys.readouterr().out == (HERE / "golden" / "two_hosts_legacy.json").read_text()
    assert main(["ranktable", "make", servers[0], "--devices", "3-1"]) == 2
    assert "a range goes upwards" in capsys.readouterr().err
