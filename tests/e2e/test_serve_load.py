"""Many clients at once, of whom a third goes away at random: nothing is lost, nothing is kept."""

from __future__ import annotations

import asyncio

import pytest

from load_serve import load
from serverkit import serving

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("clients", "seconds"),
    [
        pytest.param(60, 5.0, id="60 for 5 s"),
        pytest.param(200, 60.0, id="200 for 60 s", marks=pytest.mark.slow),
        # Memory needs time to show that it is flat.
        pytest.param(200, 600.0, id="200 for 600 s", marks=pytest.mark.slow),
    ],
)
def test_clients_come_and_go(clients: int, seconds: float) -> None:
    with serving() as server:
        processes = [server.process.pid, server.worker_pid()] if seconds >= 600 else []
        report = asyncio.run(load(server.url, clients, seconds, watched=processes))
        assert not report.faults(), report.to_dict()
        assert report.went_away > clients / 3, report.to_dict()
        # Places that nobody gave back would keep it from ending.
        assert server.end() == 0
