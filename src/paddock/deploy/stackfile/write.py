"""Writes a stack file for a person to edit: what is known is set, the rest is said in comments."""

from __future__ import annotations

from paddock.deploy.host import Host
from paddock.deploy.stackfile import presets
from paddock.deploy.stackfile.loading import loads

HEAD = """\
# What this deployment is to be; see what it would change: paddock plan
# Every key: docs/reference/stackfile.md. Editors check it with: paddock init --schema
version: 1
name: llama
"""

TAIL = """\

# model: llama2-7b-chat        # or the path of one on the target; without it the built-in one

serve:
  host: 127.0.0.1              # 0.0.0.0 asks for api_key_file: paddock key new NAME --file keys
  port: 8000
"""

SSH = """\

# An SSH server in the container, by key only:
# ssh:
#   port: 223
#   keys: [~/.ssh/id_ed25519.pub]
"""

PRESET_OF = {
    "d801": "atlas-800-9000",
    "d802": "atlas-800t-a2",
    "d500": "atlas-300i-duo",
}
"""The preset of each Ascend chip by its PCI device."""


def from_preset(name: str, *, address: str | None = None) -> str:
    """A stack file with a preset's values written out. Raises UsageError for an unknown one."""
    body = presets.text(name)
    with_container = "container:" in body
    parts = (HEAD, _hosts(address), "\n", body, SSH if with_container else "", TAIL)
    return _checked("".join(parts))


def from_facts(host: Host, *, address: str | None = None) -> str:
    """A stack file for a machine as it was found."""
    found, name = preset_for(host)
    lines = [f"# Found on {host.hostname or host.target}: {found}\n"]
    engines = [engine.name for engine in host.engines if engine.answers is not False]
    body = presets.text(name)
    if "container:" in body and not engines:
        lines.append("# No container engine answers here: the software goes onto the machine.\n")
        body = _without_container(body)
    with_container = "container:" in body
    parts = (HEAD, _hosts(address), "\n", *lines, body, SSH if with_container else "", TAIL)
    return _checked("".join(parts))


def preset_for(host: Host) -> tuple[str, str]:
    """What a machine is, in words, and the preset that fits it."""
    for device in host.pci:
        if device.vendor == "19e5" and device.device in PRESET_OF:
            count = sum(d.device == device.device for d in host.pci)
            return f"{count} Ascend (19e5:{device.device})", PRESET_OF[device.device]
    if host.nvidia is not None and host.nvidia.gpus:
        return f"{len(host.nvidia.gpus)} × {host.nvidia.gpus[0].name}", "nvidia"
    return f"{host.cpu.model or 'a CPU'}, no accelerator", "cpu"


def _hosts(address: str | None) -> str:
    return (
        f"hosts: [{address if address.startswith('ssh://') else f'ssh://{address}'}]\n"
        if address
        else ""
    )


def _without_container(body: str) -> str:
    """A preset without its container table."""
    kept, inside = [], False
    for line in body.splitlines(keepends=True):
        inside = line.startswith("container:") or (inside and line.startswith((" ", "\t")))
        if not inside:
            kept.append(line)
    return "".join(kept)


def _checked(text: str) -> str:
    """What is written must be what is read. Raises UsageError."""
    loads(text, "the stack file")
    return text
