"""Checks of networks: the chips' own ports, rank tables, TCP ports, proxies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Subject

LOCAL = ("localhost", "127.0.0.1", "::1")


@check
def chip_network(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Ports of chips that are down, without an address or with another one than configured."""
    ports = subject.ascend.hccn
    configured = any(port.address for port in ports)
    for port in ports:
        values = {"device": str(port.device)}
        if port.link == "DOWN":
            yield Evidence(f"the port of device {port.device} is DOWN", "hccn_tool -link", values)
        if port.address and port.live_address and port.address != port.live_address:
            fact = f"device {port.device} has {port.live_address}, configured is {port.address}"
            yield Evidence(fact, "hccn_tool -ip against /etc/hccn.conf", values)
        if configured and not port.address and not port.live_address:
            fact = f"device {port.device} has no address where others have one"
            yield Evidence(fact, "/etc/hccn.conf", values)
    for address, count in Counter(p.address for p in ports if p.address).items():
        if count > 1:
            yield Evidence(f"{address} is given to {count} devices", "/etc/hccn.conf")


@check
def rank_table(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Rank tables that cannot work: not completed, ranks with gaps, addresses missing or twice."""
    for table in subject.ascend.rank_tables:
        ranks = sorted(r.rank for r in table.ranks)
        if table.status and table.status != "completed":
            yield Evidence(f"its status is {table.status!r}", table.path)
        if ranks and ranks != list(range(len(ranks))):
            yield Evidence(f"its ranks are {', '.join(map(str, ranks))}", table.path)
        addresses = Counter(r.device_address for r in table.ranks)
        if len(table.ranks) > 1 and addresses.get(None):
            yield Evidence(f"{addresses[None]} ranks have no device_ip", table.path)
        twice = sorted(a for a, count in addresses.items() if a and count > 1)
        if twice:
            yield Evidence(f"{', '.join(twice)} stands there more than once", table.path)


@check
def port_taken(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Ports that are wanted, by the user or by sshd's configuration, and that others listen on."""
    listening = {port.port: port for port in subject.host.ports}
    for wanted in subject.wish.ports:
        if wanted in listening:
            who = listening[wanted].process
            fact = f"port {wanted} is taken" + (f" by {who}" if who else "")
            yield Evidence(fact, "/proc/net/tcp", {"port": str(wanted)})
    for line in subject.host.sshd:
        words = line.text.split()
        if len(words) == 2 and words[0].lower() == "port" and words[1].isdecimal():
            held = listening.get(int(words[1]))
            if held and held.process and held.process != "sshd":
                fact = f"sshd wants port {words[1]}, and {held.process} has it"
                yield Evidence(fact, f"{line.path}, /proc/net/tcp", {"port": words[1]})


@check
def proxy_without_exceptions(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A proxy in the environment whose exceptions do not have this machine itself."""
    ours = [p for p in subject.host.proxies if p.source == "environment"]
    proxies = [p for p in ours if p.variable.lower() in ("http_proxy", "https_proxy", "all_proxy")]
    exceptions = [p.value for p in ours if p.variable.lower() == "no_proxy"]
    names = {name.strip() for value in exceptions for name in value.split(",")}
    if proxies and "*" not in names and not names & set(LOCAL):
        said = f"no_proxy is {exceptions[0]}" if exceptions else "no_proxy is not set"
        fact = f"{proxies[0].variable} is {proxies[0].value}, {said}"
        yield Evidence(fact, "environment")
