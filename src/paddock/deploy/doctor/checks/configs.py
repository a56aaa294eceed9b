"""Checks of MindFormers configurations: settings that fail, are slow or give wrong tokens."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from paddock.deploy.doctor.checks.packages import numbers
from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Config, Subject

EMPTY = ("", "~", "null", "none")


def on_cpu(subject: Subject, config: Config) -> bool:
    """Whether a configuration is going to run on the CPU."""
    target = config.values.get("device_target", "").lower()
    return target == "cpu" or (not target and subject.no_accelerator)


def _place_fits(subject: Subject, config: Config, where: str) -> bool:
    """Whether a rule's ``where`` is met: ``cpu``, a generation of chips, or anywhere."""
    if where == "cpu":
        return on_cpu(subject, config)
    return not where or (not on_cpu(subject, config) and subject.view.chip == where)


def _version_fits(subject: Subject, args: Mapping[str, str]) -> bool:
    """Whether MindFormers here is ``from`` or newer and older than ``below``.

    Where none is installed, only a rule that does not ask for a ``known`` one applies.
    """
    found = next((v for p in subject.pythons if (v := p.version_of("mindformers"))), None)
    if found is None:
        return args.get("known") != "yes"
    ours = numbers(found)
    low, high = (numbers(args.get(key, "")) for key in ("from", "below"))
    return (not low or ours >= low) and (not high or ours < high)


@check
def switches(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Configurations with all switches in ``on`` on and all in ``off`` off or not set.

    ``where`` (cpu, or a generation of chips), ``from`` and ``below`` (versions of MindFormers)
    narrow it down.
    """
    on, off = args.get("on", "").split(), args.get("off", "").split()
    for config in subject.all_configs if _version_fits(subject, args) else ():
        wrong = all(config.on(k) for k in on) and not any(config.on(k) for k in off)
        if wrong and _place_fits(subject, config, args.get("where", "")):
            unset = [f"{key} is not set" for key in off if key not in config.values]
            said = ", ".join(filter(None, (config.said(*on, *off), *unset)))
            first = next((k for k in (*on, *off) if k in config.values), "")
            yield Evidence(said, config.where(first), {"file": config.path})


@check
def setting(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Configurations in which one of ``keys`` has the value ``value``; narrowed as switches are."""
    for config in subject.all_configs if _version_fits(subject, args) else ():
        found = [
            key
            for key in args["keys"].split()
            if config.values.get(key, "").lower() == args["value"].lower()
        ]
        if found and _place_fits(subject, config, args.get("where", "")):
            yield Evidence(config.said(*found), config.where(found[0]), {"file": config.path})


@check
def recomputes_everything(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """``use_past: False`` with a ``seq_length`` of ``least`` or more.

    Also in a file for training: MindFormers' own files are, and people predict with them.
    """
    for config in subject.all_configs:
        length = config.number("seq_length")
        if config.on("use_past") is False and length and length >= int(args["least"]):
            said = config.said("use_past", "seq_length")
            yield Evidence(said, config.where("use_past"), {"file": config.path})


@check
def longer_than_answers(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A cache of ``seq_length`` positions, ``least`` or more, where texts end at half of it.

    ``below`` (a version of MindFormers) narrows it down.
    """
    for config in subject.all_configs if _version_fits(subject, args) else ():
        length, end = config.number("seq_length"), config.number("max_decode_length")
        if config.on("use_past") and length and end and max(int(args["least"]), 2 * end) <= length:
            said = config.said("seq_length", "max_decode_length")
            values = {"file": config.path, "end": str(end)}
            yield Evidence(said, config.where("seq_length"), values)


@check
def device_memory_above_chip(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """``max_device_memory`` beyond what the smallest chip has."""
    sizes = [n.device_memory_mb for n in subject.ascend.npus if n.device_memory_mb]
    if not sizes:
        return
    for config in subject.all_configs:
        text = config.values.get("max_device_memory", "")
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*GB", text.strip(), re.IGNORECASE)
        if found and float(found[1]) * 1024 > min(sizes):
            gib = min(sizes) / 1024
            fact = f"max_device_memory: {text}, the chip has {gib:.0f} GiB"
            values = {"file": config.path, "gb": str(int(gib) - 4)}
            yield Evidence(fact, config.where("max_device_memory"), values)


@check
def device_target_absent(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """``device_target: Ascend`` on a machine that was looked at and has no accelerator."""
    for config in subject.configs:
        if config.values.get("device_target", "").lower() == "ascend" and subject.no_accelerator:
            fact = f"{config.said('device_target')}, and no Ascend chip is on the bus"
            yield Evidence(fact, config.where("device_target"), {"file": config.path})


@check
def parallel_on_one(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """``use_parallel: True`` where there is one chip, or none."""
    count = len(subject.ascend.npus)
    if count != 1 and not subject.no_accelerator:
        return
    for config in subject.configs:
        if config.on("use_parallel"):
            fact = f"{config.said('use_parallel')}, and the machine has {count or 'no'} chip"
            yield Evidence(fact, config.where("use_parallel"), {"file": config.path})


@check
def checkpoint_missing(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A checkpoint that is not there, or none named: MindFormers then runs random weights."""
    for file in subject.host.model_files:
        if file.path.endswith(".ckpt.error"):
            checkpoint = file.path.removesuffix(".error")
            fact = f"{file.path} is what a failed download left"
            yield Evidence(fact, "folders of checkpoints", {"checkpoint": checkpoint})
    for config in subject.configs:
        for path in config.missing:
            fact = f"{path} does not exist"
            where = config.where("checkpoint_name_or_path")
            yield Evidence(fact, where, {"checkpoint": path})
        keys = ("checkpoint_name_or_path", "load_checkpoint")
        named = [config.values.get(key, "").lower() not in EMPTY for key in keys]
        if keys[0] in config.values and not any(named) and _predicts(config):
            yield Evidence("no checkpoint is named", config.where(keys[0]), {"file": config.path})


def _predicts(config: Config) -> bool:
    return config.values.get("run_mode", "predict") in ("predict", "eval")


@check
def two_configs_in_one_folder(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Two YAML files in the folder from which one model is loaded."""
    folders: dict[str, list[str]] = defaultdict(list)
    for config in subject.host.model_configs:
        folder, _, name = config.path.rpartition("/")
        if "/checkpoint_download/" in config.path:
            folders[folder].append(name)
    for folder, names in folders.items():
        if len(names) > 1:
            yield Evidence(f"{folder} holds {', '.join(sorted(names))}", folder)
