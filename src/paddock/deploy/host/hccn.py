"""The chips' own network: /etc/hccn.conf, what hccn_tool says, and rank tables."""

from __future__ import annotations

import json
import re
from typing import Any

from paddock.deploy.host.facts import HccnPort, Note, Rank, RankTable
from paddock.deploy.host.frames import Answer, Frame
from paddock.deploy.host.values import pairs, whole

_SETTINGS = ("address", "netmask", "gateway", "netdetect")


def ports(answer: Answer, chips: int, notes: list[Note]) -> tuple[HccnPort, ...]:
    """/etc/hccn.conf (``address_0=192.0.2.1``) and what hccn_tool says of each port.

    ``chips`` is how many there are as far as known, to tell whether the file is whole.
    """
    found: dict[int, dict[str, Any]] = {}
    frame = answer.file("/etc/hccn.conf")
    for line in frame.lines if frame else []:
        match = re.fullmatch(r"\s*([A-Za-z_]+?)_(\d+)\s*=\s*(\S*)\s*", line)
        if match and match[1] in _SETTINGS and match[3]:
            found.setdefault(int(match[2]), {})[match[1]] = match[3]
        elif not line.lstrip().startswith("#"):
            why = f"the line cannot be read: {line.strip()!r}"
            notes.append(Note("/etc/hccn.conf", "a setting", why))
    if frame and (len(found) != chips or not found):
        why = f"it speaks of {len(found)} devices, and {chips} chips are known"
        notes.append(Note("/etc/hccn.conf", "addresses", why))
    for device, port in found.items():
        if missing := {"address", "netmask"} - port.keys():
            why = f"it has no {' and no '.join(sorted(missing))}"
            notes.append(Note("/etc/hccn.conf", f"device {device}", why))
    for frame in answer.starting("hccn_tool -i "):
        _hccn_tool(frame, found, notes)
    return tuple(HccnPort(device, **values) for device, values in sorted(found.items()))


def _hccn_tool(frame: Frame, found: dict[int, dict[str, Any]], notes: list[Note]) -> None:
    words = frame.name.split()
    device, what = whole(words[2]), words[3] if len(words) > 3 else ""
    if device is None or what not in ("-ip", "-link", "-net_health"):
        return
    table = pairs(frame.text, ":")
    values = {
        "-ip": {"live_address": table.get("ipaddr"), "live_netmask": table.get("netmask")},
        "-link": {"link": table.get("link status")},
        "-net_health": {"health": table.get("net health status")},
    }[what]
    told = {name: value for name, value in values.items() if value}
    if len(told) < len(values):
        missing = ", ".join(name for name in values if name not in told)
        said = frame.lines[-1] if frame.lines else "no answer"
        notes.append(Note(frame.name, missing, said))
    found.setdefault(device, {}).update(told)


def rank_tables(answer: Answer, notes: list[Note]) -> tuple[RankTable, ...]:
    """The rank tables in the usual places, in both forms that MindSpore has had."""
    found = []
    for frame in answer.files():
        if not frame.path.endswith(".json") or frame.path.endswith("daemon.json"):
            continue
        try:
            table = json.loads(frame.text, object_pairs_hook=_unique)
            ranks = tuple(_ranks(table))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"not a rank table: {type(error).__name__} {error}"
            notes.append(Note(frame.path, "rank table", why))
            continue
        numbers = sorted(rank.rank for rank in ranks)
        if not numbers or numbers != list(range(len(numbers))):
            why = f"its ranks are {numbers}, not 0 and up without a gap"
            notes.append(Note(frame.path, "ranks", why))
        if "server_list" in table and not table.get("version"):
            notes.append(Note(frame.path, "version", "a rank table of this form has one"))
        found.append(RankTable(frame.path, table.get("version"), table.get("status"), ranks))
    return tuple(found)


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: two devices run into one are none."""
    table = dict(items)
    if len(table) != len(items):
        raise ValueError(f"a key stands twice among {', '.join(key for key, _ in items)}")
    return table


def _ranks(table: dict[str, Any]) -> list[Rank]:
    """Both forms. Source: MindSpore's pages on distributed training, r0.1 and later."""
    if "server_list" in table:
        return [
            Rank(int(d["rank_id"]), int(d["device_id"]), d.get("device_ip"), server["server_id"])
            for server in table["server_list"]
            for d in server["device"]
        ]
    return [
        Rank(int(i["rank_id"]), int(d["device_id"]), d.get("device_ip"), i.get("server_id"))
        for group in table["group_list"]
        for i in group["instance_list"]
        for d in i["devices"]
    ]
