"""Reports as wholes: healthy machines, damaged facts, order, JSON, scripts, commands from logs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from doctor_cases import CASES, FILES, HERE, HOSTS, merged

from paddock.deploy import doctor
from paddock.deploy.doctor import Evidence, Finding, Fix, Pattern, Report, Rule, Subject, Wish, mend
from paddock.deploy.doctor.checks import CHECKS, sizes
from paddock.deploy.doctor.mindformers import look_for, parse_config
from paddock.deploy.doctor.rule import LAYERS, SEVERITIES
from paddock.deploy.host import Host, probe, recording
from paddock.errors import CatalogError, FactsError, UsageError
from paddock.shell import Output, RecordedRunner

RECORDINGS = sorted(path.parent for path in HOSTS.glob("*/recording.toml"))
ILL = {
    "310b4-x1-alarm": {"chip-alarm"},
    "950pr-x3-alarm": {"chip-alarm"},
    "error-8005": {"driver-does-not-start"},
    "error-8020": {"card-held-elsewhere"},
    "error-libdrvdsmi": {"driver-libraries-not-on-path"},
}
"""Recordings of machines on which something blocks, and what it is."""


@pytest.mark.parametrize("folder", RECORDINGS, ids=lambda folder: folder.name)
def test_recordings_have_the_blocking_findings_that_they_should(folder: Path) -> None:
    report = doctor.diagnose(Subject(probe.read(recording.load(folder))))
    blocking = {f.rule.id for f in report.findings if f.blocking}
    assert blocking == ILL.get(folder.name, set())
    assert report.exit_code == bool(blocking)


def test_nothing_known_is_nothing_found() -> None:
    assert doctor.diagnose(Subject()).findings == ()


def pruned(value: Any, chance: random.Random) -> Any:
    """The same facts with parts missing."""
    if isinstance(value, dict):
        keys = [key for key in value if chance.random() < 0.8]
        return {key: pruned(value[key], chance) for key in keys}
    if isinstance(value, list):
        return [pruned(each, chance) for each in value if chance.random() < 0.8]
    return value


ODD = ("", "unknown", "-", "0", "1e9", "№ 1", "8", "v8.x", "[", "{a}", "$(id)", "x" * 300, "\n")


def odd(value: Any, chance: random.Random) -> Any:
    """The same facts with some texts and numbers that nobody expects."""
    if isinstance(value, dict):
        return {key: odd(each, chance) for key, each in value.items()}
    if isinstance(value, list):
        return [odd(each, chance) for each in value]
    if isinstance(value, str) and chance.random() < 0.1:
        return chance.choice(ODD)
    if isinstance(value, int) and not isinstance(value, bool) and chance.random() < 0.1:
        return chance.choice((0, -1, 1, 2**40))
    return value


def everything() -> dict[str, Any]:
    """The facts of all cases and recordings in one machine, which is as ill as can be."""
    facts: dict[str, Any] = {}
    for case in CASES:
        facts = merged(facts, case.entry.get("facts", {}))
    return facts


def test_facts_with_missing_parts_never_raise() -> None:
    chance = random.Random(5)
    sources = [probe.read(recording.load(folder)).to_dict() for folder in RECORDINGS]
    sources += [Host.from_json(json.dumps(everything())).to_dict()] * 10
    sources += [case.entry["facts"] for case in CASES if "facts" in case.entry]
    config = parse_config((FILES / "run_llama2_7b.v1.0.0.yaml").read_text(), "run.yaml")
    tried = 0
    for source in sources:
        for _ in range(8):
            change = chance.choice((pruned, odd))
            try:
                host = Host.from_json(json.dumps(change(source, chance)))
            except FactsError:  # a part that every such fact must have
                continue
            wish = Wish("llama2-7b", chance.choice((None, "torch", "mindspore")), (8000,))
            report = doctor.diagnose(Subject(host, (config,), wish))
            json.dumps(report.to_dict())
            mend.script(report)
            tried += 1
    assert tried > 300


def test_findings_are_sorted_by_what_blocks_most() -> None:
    host = Host.from_json(json.dumps(everything()))
    found = doctor.diagnose(Subject(host)).findings
    ranks = [(SEVERITIES.index(f.rule.severity), LAYERS.index(f.rule.layer)) for f in found]
    assert len(found) > 15
    assert ranks == sorted(ranks)


def test_a_log_and_a_machine_together_confirm_each_other() -> None:
    host = probe.read(recording.load(HOSTS / "error-8020"))
    log = {"run.log": "ok\ndcmi model initialized failed, because the device is used. ret is -8020"}
    (finding,) = doctor.diagnose(Subject(host), log).findings
    assert [e.where for e in finding.evidence] == ["npu-smi info", "run.log:2"]


def test_a_long_log_is_read_in_time_linear_in_its_length() -> None:
    """Bounds, not a benchmark: a pattern that backtracks takes minutes for these."""
    for text in ("x" * 2_000_000, "libgomp" * 300_000, "error " * 300_000, "a\n" * 300_000):
        begin = time.process_time()
        doctor.read_log(text)
        assert time.process_time() - begin < 30


def test_a_log_quotes_few_lines_and_short_ones() -> None:
    text = ("ret is -8020 " + "x" * 5000 + "\n") * 50
    (finding,) = doctor.read_log(text)
    assert len(finding.evidence) == 3
    assert all(len(e.fact) <= 300 for e in finding.evidence)
    (late,) = doctor.read_log("y" * 1500 + " ret is -8020 " + "x" * 5000)
    assert "ret is -8020" in late.evidence[0].fact
    assert len(late.evidence[0].fact) <= 300


# What a log says may not become a command


RULE = Rule("x", "warns", "system", "t", "c.", (Fix("ls -l {file}", safe=True),), "https://x")


def finding(**values: str) -> Finding:
    return Finding(RULE, (Evidence("fact", "log:1", values),))


@pytest.mark.parametrize("bad", ["a;reboot", "$(id)", "`id`", "a b", "-rf", "a\nid", "'", "é"])
def test_a_value_that_is_not_plain_makes_a_step_unsafe(bad: str) -> None:
    (fix,) = finding(file=bad).fixes
    assert not fix.safe
    assert finding(file="/var/log/x.log").fixes == (Fix("ls -l /var/log/x.log", safe=True),)
    assert finding().fixes == (Fix("ls -l <file>"),)
    script = mend.script(Report("local", (finding(file=bad),), 1))
    live = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert live == []


def test_steps_name_each_value_once() -> None:
    two = Finding(RULE, tuple(Evidence(f, "x", {"file": f}) for f in ("/a", "/b", "/a")))
    assert [fix.run for fix in two.fixes] == ["ls -l /a", "ls -l /b"]


def test_braces_of_the_shell_and_of_docker_are_left_alone() -> None:
    fix = Fix("docker ps --format '{{end}} ${HOME} {name}'", safe=True).filled({"name": "a"})
    assert fix.run == "docker ps --format '{{end}} ${HOME} a'"


def test_the_script_runs_nothing_that_is_not_safe() -> None:
    host = Host.from_json(json.dumps(everything()))
    report = doctor.diagnose(Subject(host))
    script = mend.script(report)
    assert script.startswith("#!/bin/sh\n")
    live = [line for line in script.splitlines() if line and not line.startswith("#")]
    safe = {fix.run for found in report.findings for fix in found.fixes if fix.safe}
    assert set(live) == safe
    assert "#! usermod -aG HwHiAiUser ada" in script


def test_safe_steps_go_through_the_runner() -> None:
    words = ("sh", "-c", "ls -l /a")
    runner = RecordedRunner({words: Output(3, "out", "err")})
    seen: list[str] = []
    report = Report("local", (finding(file="/a"),), 1)
    (step,) = mend.run_safe(report, runner, before=lambda fix: seen.append(fix.run))
    assert (step.output.exit_code, step.output.stdout, seen) == (3, "out", ["ls -l /a"])


# MindFormers configurations


def test_settings_with_their_lines() -> None:
    config = doctor.read_config(FILES / "run_llama2_7b.v1.0.0.yaml")
    assert config.on("use_past") is False
    assert config.number("seq_length") == 4096
    assert config.number("batch_size") == 1  # the model's, before those of runner and data sets
    assert config.values["type"] == "LlamaConfig"
    text = (FILES / "run_llama2_7b.v1.0.0.yaml").read_text().splitlines()
    for key in ("use_past", "seq_length", "max_device_memory", "use_parallel", "run_mode"):
        assert text[config.lines[key] - 1].strip().startswith(f"{key}:")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1 is not YAML"),
        ("- a", "it is no mapping"),
        ("", "it is no mapping"),
        ("a: *b", "is not YAML"),
    ],
)
def test_what_is_no_configuration(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_config(text, "run.yaml")


def test_odd_yaml_is_no_trouble() -> None:
    assert parse_config(
        "a: &x {b: 1, c: *x}\n? [1]\n: 2\nd: !!python/name:os.system ''", "x"
    ).values


def test_a_checkpoint_that_a_configuration_names() -> None:
    config = parse_config("load_checkpoint: /w/a.ckpt\ncheckpoint_name_or_path: b.ckpt\n", "x.yaml")
    answers = {("test", "-e", "/w/a.ckpt"): Output(1), ("test", "-e", "b.ckpt"): Output(0)}
    looked = look_for(config, RecordedRunner(answers))
    assert looked.missing == ("/w/a.ckpt",)
    (found,) = doctor.diagnose(Subject(configs=(looked,))).findings
    assert found.rule.id == "checkpoint-missing"
    assert found.evidence[0].fact == "/w/a.ckpt does not exist"


SHAPES = {
    "llama2-7b": "hidden_size: 4096\nnum_layers: 32\nnum_heads: 32\n",
    "llama2-13b": "hidden_size: 5120\nnum_layers: 40\nnum_heads: 40\n",
    "llama2-70b": "hidden_size: 8192\nnum_layers: 80\nnum_heads: 64\nn_kv_heads: 8\n"
    "multiple_of: 4096\nffn_dim_multiplier: 1.3\n",
}


@pytest.mark.parametrize("name", SHAPES)
def test_sizes_by_name_and_by_shape_are_those_of_transformers(name: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = parse_config(SHAPES[name] + "vocab_size: 32000\nuse_past: True\n", "run.yaml")
    (named,) = sizes.needs(Subject(wish=Wish(model=name)))
    (read,) = sizes.needs(Subject(configs=(config,)))
    assert (named.weights, named.cache) == (read.weights, read.cache)
    heads = config.number("num_heads")
    theirs = transformers.LlamaConfig(
        hidden_size=config.number("hidden_size"),
        num_hidden_layers=1,
        num_attention_heads=heads,
        num_key_value_heads=config.number("n_kv_heads") or heads,
        intermediate_size={"llama2-7b": 11008, "llama2-13b": 13824, "llama2-70b": 28672}[name],
        vocab_size=32000,
    )
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(theirs)
    layer = sum(p.numel() for p in model.model.layers[0].parameters())
    rest = sum(p.numel() for p in model.parameters()) - layer
    layers = config.number("num_layers") or 0
    assert named.weights == 2 * (rest + layers * layer)


# The rules' form


def write(folder: Path, text: str, name: str = "system") -> Path:
    (folder / f"{name}.toml").write_text(text)
    return folder


GOOD = """
[[rule]]
id = "a-rule"
severity = "warns"
title = "t"
cause = "c"
source = "https://x"
log = ["x"]
fix = [{ run = "ls", safe = true }]
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"warns"', '"bad"'), "severity 'bad' is none of blocks"),
        (('log = ["x"]', ""), "neither a check nor a text"),
        (('log = ["x"]', 'log = ["("]'), "is not a regular expression"),
        (('log = ["x"]', 'check = "chip_helth"'), "did you mean 'chip_health'"),
        (('title = "t"', ""), "title is missing"),
        (('title = "t"', 'title = "t"\ntitel = "x"'), "unknown key 'titel'; did you mean 'title'"),
        (('run = "ls"', 'run = "npu-smi set -t reset"'), "cannot be marked safe"),
        (('run = "ls"', 'run = "./Ascend-hdk-910-npu-driver_23.0.0.run"'), "cannot be marked safe"),
        (('run = "ls"', 'run = "reboot"'), "cannot be marked safe"),
        (('run = "ls"', 'do = "look"'), "cannot be marked safe"),
        (("fix = ", 'yields_to = ["b"]\nfix = '), "yields to 'b'"),
        (('"a-rule"', '"A rule"'), "words of small letters"),
        (("[[rule]]", "[[rules]]"), "nothing else"),
        (('title = "t"', "title = "), "cannot read system.toml"),
    ],
)
def test_a_rule_that_is_not_well_formed(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        doctor.load(write(tmp_path, GOOD.replace(*change)))


def test_a_rule_needs_no_code(tmp_path: Path) -> None:
    (rule,) = doctor.load(write(tmp_path, GOOD))
    assert rule.patterns == (Pattern(rule.patterns[0].regex, 2),)
    (found,) = doctor.read_log("a x b", rules=(rule,))
    assert found.rule.id == "a-rule"


def test_rules_that_are_there_twice_or_nowhere(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there are no rules"):
        doctor.load(tmp_path)
    with pytest.raises(CatalogError, match="is there twice"):
        doctor.load(write(tmp_path, GOOD + GOOD))
    with pytest.raises(CatalogError, match="no such layer"):
        doctor.load(write(tmp_path, GOOD, "other"))


def test_every_check_is_used() -> None:
    assert {rule.check for rule in doctor.load() if rule.check} == CHECKS.keys()


# What looks like a fault and is none


@pytest.mark.parametrize(
    ("rule", "facts"),
    [
        (
            "chip-not-listed",  # a container with one of two cards
            {
                "confinement": {"kind": "docker", "evidence": "/.dockerenv"},
                "pci": [
                    {"address": f"0000:c{i}:00.0", "vendor": "19e5", "device": "d802",
                     "class_code": "120000"}
                    for i in (1, 2)
                ],
                "ascend": {"npus": [{"npu": 0, "bus_id": "0000:C1:00.0"}]},
            },
        ),
        (
            "nodes-barred",  # what is root's on purpose
            {
                "ascend": {"nodes": [{"path": "/dev/upgrade", "readable": False}]},
                "nvidia": {"nodes": [{"path": "/dev/nvidia-caps", "writable": False},
                                     {"path": "/dev/nvidia0", "readable": True, "writable": True}]},
            },
        ),
        (
            "driver-libraries-not-on-path",  # npu-smi has its own way to the library
            {
                "ascend": {"npu_smi": {"exit_code": 0}},
                "libraries": [{"name": "libdrvdsmi_host.so", "paths": ["/x/libdrvdsmi_host.so"]}],
            },
        ),
        (
            "memory-held-by-nobody",  # what a driver keeps, and where nobody knows of processes
            {
                "ascend": {
                    "npus": [
                        {"npu": 0, "hbm_used_mb": 3133, "hbm_total_mb": 65536, "processes": []},
                        {"npu": 1, "hbm_used_mb": 30000, "hbm_total_mb": 65536},
                    ]
                }
            },
        ),
        (
            "no-driver",  # a recording of the bus alone: nobody looked for a driver
            {
                "pci": [{"address": "0000:c1:00.0", "vendor": "19e5", "device": "d802",
                         "class_code": "120000"}],
                "ascend": {},
            },
        ),
    ],
)  # fmt: skip
def test_no_false_alarm(rule: str, facts: dict[str, Any]) -> None:
    host = Host.from_json(json.dumps(facts))
    assert rule not in {f.rule.id for f in doctor.diagnose(Subject(host)).findings}


def test_a_bare_host_is_enough() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['numpy'] = None\n"
        "from paddock.cli.main import main\n"
        "code = main(['doctor', '--json', '--framework', 'torch', '--model', 'llama2-7b'])\n"
        "assert not {'rich', 'yaml'} & set(sys.modules), 'slow for nothing'\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(HERE.parents[2] / "src"), "PATH": os.environ["PATH"]},
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout)["target"] == "local"
