"""Folders of recordings: what may be in one, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddock.deploy.host import probe, recording
from paddock.errors import FactsError

PASTE = """what stands before the first command is passed over
[root@npu1 ~]# not a command line
# npu-smi info -m
\tNPU ID   Chip ID   Chip Logic ID   Chip Name
\t0        0         0               Ascend 910A
$ /usr/local/bin/npu-smi info -i 0 -c 0 -t health
\tHealth Status : OK
\tError Code : NA
\tError Information : NA
npu-smi: error while loading shared libraries: x.so
## /etc/hccn.conf
address_0=192.0.2.1
netmask_0=255.255.255.0
lspci | grep acce
01:00.0 Processing accelerators: Huawei Technologies Co., Ltd. Device d801 (rev 20)
"""


def folder(tmp_path: Path, manifest: str, **files: str) -> Path:
    (tmp_path / "recording.toml").write_text(manifest)
    for name, text in files.items():
        (tmp_path / name.replace("_", ".")).write_text(text)
    return tmp_path


def test_a_paste_of_many_commands(tmp_path: Path) -> None:
    found = list(recording.transcript(PASTE))
    assert [frame.name for frame in found] == [
        "npu-smi info -m",
        "npu-smi info -i 0 -c 0 -t health",
        "file /etc/hccn.conf",
        "lspci | grep acce",
    ]
    assert "error while loading" in found[1].text
    place = folder(tmp_path, '[[answers]]\ntranscript = "paste.txt"\n', paste_txt=PASTE)
    host = probe.read(recording.load(place))
    assert host.ascend is not None
    assert host.ascend.npus[0].health_detail is not None
    assert host.ascend.hccn[0].address == "192.0.2.1"
    assert host.pci[0].device == "d801"


def test_an_exit_code_is_kept(tmp_path: Path) -> None:
    manifest = '[[answers]]\nask = "npu-smi info"\nfile = "a.txt"\nexit_code = 8\n'
    host = probe.read(recording.load(folder(tmp_path, manifest, a_txt="no device")))
    assert host.ascend is not None
    assert host.ascend.npu_smi is not None
    assert (host.ascend.npu_smi.exit_code, host.ascend.npu_smi.error) == (8, "no device")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("", "'answers'"),
        ("x = ", "TOML"),
        ('[[answers]]\nask = "npu-smi info"\n', "'file'"),
        ('[[answers]]\nask = "npu-smi info"\nfile = "none.txt"\n', "No such file"),
        ('[[answers]]\nask = "x"\nfile = "a.txt"\nexitcode = 1\n', "unknown key 'exitcode'"),
    ],
)
def test_folders_that_are_none(tmp_path: Path, manifest: str, said: str) -> None:
    with pytest.raises(FactsError, match="is not a recording of a host") as caught:
        recording.load(folder(tmp_path, manifest, a_txt=""))
    assert said in str(caught.value)
    assert "scripts/record-host" in str(caught.value.hint)
