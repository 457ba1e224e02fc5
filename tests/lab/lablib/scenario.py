# SPDX-License-Identifier: MIT
"""Scenario files: scenarios/NAME.sh, a header of `#: key = value` and a body.

    #: title = what it shows
    #: topology = root-ports             (topologies/NAME.toml)
    #: iommu = off                       (off, on, pt)
    #: cpu = EPYC                        (EPYC, Skylake-Client)
    #: modules = p2pdma_export           (loaded before the body runs)
    #: needs = bar_write                 (programs; missing ones are an error)
    #: librxe = stock                    (stock, rebuilt)
    #: layer = pyverbs                   (an extra layer of the image)
    #: userland = busybox                (busybox, systemd: see systemd.py)
    #: kernel = any                      (any, distribution, debug)
    #: flavour = cloud                   (cloud, generic: the distribution's kernel with all drivers)
    #: image = unpacked                  (unpacked, packed: see bzimage.py)
    #: peers = 1                         (guests: 1, or 2 that have a network in common)
    #: when = always                     (always, named: left out unless it is asked for)
    #: timeout = 60                      (seconds, for the whole guest)
    #: memory = 1024                     (MiB)
    #: hotplug = acpi                    (acpi, native)
    #: cmdline = slab_nomerge            (more kernel arguments)
    #: device = edu,id=edu0,bus=spare0   (one more QEMU device; may repeat)
    #: qemu = -global ...                (more QEMU arguments; may repeat)
    #: file = spare:64                   (one more memory file of so many MiB; may repeat)
    #: allow = REGEX                     (a line of the kernel log that this scenario provokes)
    #: leaks = FUNCTION                  (a leak of the kernel's own: kmemleak may name it)
    #: for iommu = off, on               (one run for each value; may repeat)
    #: except = cpu=Skylake-Client topology=root-ports   (leaves a combination out)

The body is sh, run in the guest with the verbs of guest/verbs.sh. Each
header value is there as $TOPOLOGY, $IOMMU, $CPU and so on; `for` may
name a new key too, which then is a variable of the body. Where there are two
guests, both run the body at the same time and $PEER is 0 in one and 1 in the other.
"""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import topology
from .base import LAB, LabError

DEFAULTS = {"title": "", "topology": "root-ports", "iommu": "off", "cpu": "EPYC", "modules": "",
            "needs": "", "librxe": "stock", "layer": "", "userland": "busybox",
            "kernel": "any", "flavour": "cloud", "image": "unpacked", "peers": "1",
            "when": "always", "timeout": "60", "memory": "1024", "cmdline": "", "hotplug": "acpi",
            "leaks": ""}
REPEATED = ("device", "qemu", "file", "allow", "except")
SHOWN = ("topology", "iommu", "cpu", "librxe")


@dataclass
class Scenario:
    """One scenario with every value settled: one guest, or @peer of two."""

    name: str
    values: dict[str, str]
    varied: dict[str, str]
    lists: dict[str, list[str]]
    body: str
    path: Path
    cases: list[str] = field(default_factory=list)
    peer: int = 0

    @property
    def title(self) -> str:
        """name[key=value,...], unique among all instances."""
        if not self.varied:
            return self.name
        return f"{self.name}[{','.join(f'{k}={v}' for k, v in self.varied.items())}]"

    @property
    def timeout_s(self) -> float:
        """How long the guest may live."""
        return float(self.values["timeout"])

    @property
    def peers(self) -> int:
        """How many guests run at the same time."""
        return int(self.values["peers"])

    def guests(self) -> list[Scenario]:
        """One for each guest."""
        return [replace(self, peer=peer) for peer in range(self.peers)]

    def config(self, stretch: int, interactive: bool = False) -> str:
        """The shell variables the guest starts with; @stretch multiplies its time limits."""
        settings = {**self.values, **self.varied, "scenario": self.name,
                    "peer": str(self.peer), "stretch": str(stretch),
                    "interactive": "1" if interactive else ""}
        return "".join(f"{key.upper()}={shlex.quote(value)}\n"
                       for key, value in settings.items())


def _parse(path: Path) -> tuple[dict[str, str], dict[str, list[str]], dict[str, list[str]], str]:
    """(values, lists, axes, body) of a scenario file."""
    values = dict(DEFAULTS)
    lists: dict[str, list[str]] = {key: [] for key in REPEATED}
    axes: dict[str, list[str]] = {}
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("#:"):
            continue
        match = re.fullmatch(r"#:\s*(for\s+)?([a-z_]+)\s*=\s*(.*?)\s*", line)
        if not match:
            raise LabError(f"{path.name}:{number}: not 'key = value'")
        is_axis, key, value = match.groups()
        if is_axis:
            axes[key] = [part.strip() for part in value.split(",")]
        elif key in REPEATED:
            lists[key].append(value)
        elif key in DEFAULTS:
            values[key] = value
        else:
            raise LabError(f"{path.name}:{number}: unknown key {key}")
    if not values["title"]:
        raise LabError(f"{path.name}: no title")
    return values, lists, axes, text


def _excluded(settled: dict[str, str], rules: list[str]) -> bool:
    for rule in rules:
        pairs = [pair.partition("=")[::2] for pair in rule.split()]
        if all(settled.get(key) == value for key, value in pairs):
            return True
    return False


def _validate(scenario: Scenario) -> None:
    values = scenario.values
    if values["topology"] not in topology.names():
        raise LabError(f"{scenario.title}: no topology {values['topology']}")
    for key, allowed in (("iommu", topology.IOMMU_KINDS), ("librxe", ("stock", "rebuilt")),
                         ("hotplug", ("acpi", "native")), ("userland", ("busybox", "systemd")),
                         ("kernel", ("any", "distribution", "debug")),
                         ("flavour", ("cloud", "generic")),
                         ("image", ("unpacked", "packed")), ("peers", ("1", "2"))):
        if values[key] not in allowed:
            raise LabError(f"{scenario.title}: {key} is one of {', '.join(allowed)}")
    if not values["timeout"].isdigit() or not values["memory"].isdigit():
        raise LabError(f"{scenario.title}: timeout and memory are whole numbers")


def load(path: Path) -> list[Scenario]:
    """All instances of one scenario file."""
    values, lists, axes, body = _parse(path)
    found = []
    for combination in itertools.product(*axes.values()):
        varied = dict(zip(axes.keys(), combination, strict=True))
        settled = {**values, **{k: v for k, v in varied.items() if k in DEFAULTS}}
        if _excluded({**settled, **varied}, lists["except"]):
            continue
        scenario = Scenario(path.stem, settled, varied, lists, body, path)
        _validate(scenario)
        found.append(scenario)
    return found


def load_all() -> list[Scenario]:
    """Every scenario of the tree, in order of their names."""
    return [s for path in sorted((LAB / "scenarios").glob("*.sh")) for s in load(path)]


def select(wanted: list[str]) -> list[Scenario]:
    """The scenarios that @wanted names: a file's name, an instance's, or a pattern with '*'."""
    everything = load_all()
    if not wanted:
        return [s for s in everything if s.values["when"] == "always"]
    found: list[Scenario] = []
    for name in wanted:
        if "*" in name:
            pattern = ".*".join(re.escape(part) for part in name.split("*"))
            matches = [s for s in everything if re.fullmatch(pattern, s.title)]
        elif name.endswith(".sh") and Path(name).exists():
            matches = load(Path(name))
        else:
            matches = [s for s in everything if name in (s.name, s.title)]
        if not matches:
            raise LabError(f"there is no scenario {name}; `lab list` shows all")
        found += [m for m in matches if m.title not in {f.title for f in found}]
    return found
