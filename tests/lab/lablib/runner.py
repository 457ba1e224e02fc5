# SPDX-License-Identifier: MIT
"""Runs scenarios, several guests at once if wanted, and says how they went."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import initrd, qemu, results, topology
from .base import LabError, say
from .results import Result
from .scenario import Scenario
from .workshop import Prepared, Workshop

# Emulation is slower on a busy machine; a debug kernel is slower still.
DEBUG_TIMEOUT_FACTOR = 5
# A guest that never came up has run nothing of this tree: emulated processors on a
# busy host now and then don't find each other.
BOOTS = 2
CMDLINE = ["console=ttyS0", "panic=-1", "oops=panic", "net.ifnames=0", "nokaslr",
           "slab_nomerge", "no_hash_pointers", "mitigations=off", "random.trust_cpu=on",
           "printk.time=1", "hung_task_panic=0", "sysctl.kernel.hung_task_timeout_secs=20",
           "pci=realloc", "no_timer_check", "cryptomgr.notests"]

SYSTEMD_CMDLINE = ("systemd.show_status=no", "systemd.gpt_auto=no", "systemd.log_level=notice")

# Without it the firmware's own hot-plug is used, which is quick; pciehp waits 5 s for the button.
NATIVE_HOTPLUG = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]


class Runner:
    """One `lab run`."""

    def __init__(self, shop: Workshop, out: Path, kernel: str, jobs: int, verbose: bool,
                 factor: float = 1.0, is_story: bool = False) -> None:
        self.shop = shop
        self.out = out
        self.kernel = kernel
        self.jobs = jobs
        self.verbose = verbose
        self.factor = factor
        self.is_story = is_story
        self.kvm = False
        self._print = threading.Lock()
        self._free = jobs
        self._freed = threading.Condition()

    def prepare(self, scenarios: list[Scenario]) -> Prepared:
        """Everything that is shared, before the first guest starts."""
        prepared = self.shop.by_key(self.kernel)
        for kind in sorted({(self._kernel_of(s), s.values["librxe"], s.values["userland"])
                            for s in scenarios}):
            self.shop.layers(*kind)
        programs = {p.name for p in self.shop.programs()}
        for scenario in scenarios:
            missing = [n for n in scenario.values["needs"].split() if n not in programs]
            if missing:
                raise LabError(f"{scenario.title} needs {', '.join(missing)}, "
                               "which this tree does not build")
        self.kvm = self._probe_kvm()
        return prepared

    def _kernel_of(self, scenario: Scenario) -> str:
        """The debug kernel has one flavour."""
        is_generic = self.kernel == "distribution" and scenario.values["flavour"] == "generic"
        return "generic" if is_generic else self.kernel

    def _probe_kvm(self) -> bool:
        target = self.out / "probe.cpio"
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return False
        layers = self.shop.layers(self.kernel, "stock")
        files = {"lab/config": "MODULES=''\nINTERACTIVE=''\n",
                 "lab/scenario.sh": "ok 'the guest boots' true\n"}
        initrd.assemble(target, layers, initrd.scenario_layer(files))
        return qemu.kvm_boots(self.shop.by_key(self.kernel).unpacked, target)

    def machine(self, scenario: Scenario, image: Path, wires: Path | None = None) -> qemu.Machine:
        """The virtual machine for one guest; @wires: where its way to the other one lies."""
        values = scenario.values
        board = topology.load(values["topology"])
        memory = dict(board.memory_mib)
        for extra in scenario.lists["file"]:
            name, _, mib = extra.partition(":")
            memory[name] = int(mib)
        board.memory_mib = memory
        wire = topology.Wire(wires, scenario.peer) if wires and scenario.peers > 1 else None
        arguments = topology.qemu_arguments(board, Path("@files@"), values["iommu"],
                                            scenario.lists["device"], wire)
        arguments += [word for line in scenario.lists["qemu"] for word in line.split()]
        if values["hotplug"] == "native":
            arguments += NATIVE_HOTPLUG
        cmdline = [*CMDLINE, *topology.kernel_arguments(values["iommu"]),
                   *(SYSTEMD_CMDLINE if values["userland"] == "systemd" else ()),
                   *values["cmdline"].split()]
        prepared = self.shop.by_key(self._kernel_of(scenario))
        # The debug kernel has no ASPM, and firmware hands hot-plug only to who has.
        if values["hotplug"] == "native" and prepared.is_debug:
            cmdline.append("pcie_ports=native")
        memory_mib = int(values["memory"]) * (2 if prepared.is_debug else 1)
        kernel = prepared.vmlinuz if values["image"] == "packed" else prepared.unpacked
        return qemu.Machine(kernel, image, cmdline, arguments, values["cpu"],
                            memory_mib, memory, self.kvm)

    def image(self, scenario: Scenario, where: Path, interactive: bool = False) -> Path:
        """The initrd of one scenario."""
        layers = list(self.shop.layers(self._kernel_of(scenario), scenario.values["librxe"],
                                       scenario.values["userland"]))
        if scenario.values["layer"]:
            layers.append(self.shop.extra_layer(scenario.values["layer"]))
        files = {"lab/config": scenario.config(self._stretch(), interactive),
                 "lab/scenario.sh": scenario.body}
        return initrd.assemble(where / "initrd.cpio", layers, initrd.scenario_layer(files))

    def _stretch(self) -> int:
        """By how much the guest's time limits grow: a debug kernel, a busy host."""
        slow = DEBUG_TIMEOUT_FACTOR if self.shop.by_key(self.kernel).is_debug else 1
        busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        return math.ceil(slow * busy * self.factor)

    @contextlib.contextmanager
    def _processors(self, guests: int) -> Iterator[None]:
        """Have room for so many guests; more than there is in all run when all else is done."""
        guests = min(guests, self.jobs)
        with self._freed:
            self._freed.wait_for(lambda: self._free >= guests)
            self._free -= guests
        try:
            yield
        finally:
            with self._freed:
                self._free += guests
                self._freed.notify_all()

    def run_one(self, scenario: Scenario) -> Result:
        """Run one scenario in a guest of its own, or in two that have a network in common."""
        prepared = self.shop.by_key(self._kernel_of(scenario))
        guests = scenario.guests()
        with self._processors(len(guests)), tempfile.TemporaryDirectory(prefix="lab.") as wires:
            outcomes = self._boot(guests, Path(wires))
        return results.merged([results.judge(guest, outcome, prepared.label)
                               for guest, outcome in zip(guests, outcomes, strict=True)])

    def _boot(self, guests: list[Scenario], wires: Path) -> list[qemu.Outcome]:
        """Start the guests and wait for their end; once more if one never came up."""
        for boot in itertools.count(1):
            with ThreadPoolExecutor(len(guests)) as pool:
                outcomes = list(pool.map(lambda guest: self._run_guest(guest, wires), guests))
            if boot == BOOTS or all(o.lines or not o.timed_out for o in outcomes):
                break
            say(f"{guests[0].title}: the guest did not come up, once more")
        return outcomes

    def _run_guest(self, guest: Scenario, wires: Path) -> qemu.Outcome:
        where = self.out / guest.title.replace("/", "_")
        if guest.peers > 1:
            where /= f"peer{guest.peer}"
        where.mkdir(parents=True, exist_ok=True)
        timeout = guest.timeout_s * self.factor
        if self.shop.by_key(self.kernel).is_debug:
            timeout *= DEBUG_TIMEOUT_FACTOR
        image = self.image(guest, where)
        try:
            return qemu.run(self.machine(guest, image, wires), where, timeout,
                            _tell if self.is_story else None)
        finally:
            image.unlink(missing_ok=True)

    def run_all(self, scenarios: list[Scenario]) -> list[Result]:
        """Run @scenarios, at most self.jobs at a time; results in their order."""
        waiting: queue.SimpleQueue[tuple[int, Scenario]] = queue.SimpleQueue()
        # The longest first, as far as their time limits tell: at the end nobody waits for one.
        for item in sorted(enumerate(scenarios), key=lambda item: -item[1].timeout_s):
            waiting.put(item)
        found: dict[int, Result] = {}
        failures: list[BaseException] = []

        def work() -> None:
            while not failures:
                try:
                    index, scenario = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    found[index] = self.run_one(scenario)
                except BaseException as error:  # handed to the main thread below
                    failures.append(error)
                    return
                self._show(len(found), len(scenarios), found[index], scenario)

        threads = [threading.Thread(target=work) for _ in range(self.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return [found[index] for index in sorted(found)]

    def _show(self, number: int, total: int, result: Result, scenario: Scenario) -> None:
        width = len(str(total))
        counts = f"{result.count('passed')} ok"
        for kind in ("failed", "skipped"):
            if result.count(kind):
                counts += f", {result.count(kind)} {kind}"
        word = "ok    " if result.passed else "FAILED"
        with self._print:
            if self.is_story and result.passed:
                return
            print(f"[{number:{width}}/{total}] {word} {result.scenario:<52} {counts:<16} "
                  f"{result.wall_s:5.1f} s", flush=True)
            for case in result.cases:
                if case.result == "failed" or self.verbose:
                    mark = {"passed": "ok", "failed": "not ok", "skipped": "skip"}[case.result]
                    print(f"    {mark} {case.name}")
                    for line in case.detail:
                        print(f"        {line}")
            if self.verbose:
                for key, value, unit in result.figures:
                    print(f"    {key} = {value:g} {unit}")
            where = self.out / scenario.title.replace("/", "_")
            if result.full_log:
                print("    the whole kernel log:")
                for log in sorted(where.rglob("console.log")):
                    text = log.read_text(encoding="utf-8", errors="replace")
                    for line in text.splitlines():
                        print(f"      {line.rstrip()}")
            if not result.passed:
                print(f"    transcript and logs: {where}")
            sys.stdout.flush()


def _tell(line: str) -> None:
    """What the guest says to the person who watches, as it says it."""
    word, _, text = line.partition(" ")
    if word == "tell":
        print(text, flush=True)


def default_jobs() -> int:
    """Guests at once: one for each processor, since an emulated guest keeps one busy."""
    return min(8, os.cpu_count() or 1)


def summary(found: list[Result], begin: float, out: Path) -> bool:
    """The last lines of a run; did everything pass?"""
    passed, failed, skipped = (sum(r.count(kind) for r in found)
                               for kind in ("passed", "failed", "skipped"))
    say(f"{len(found)} guests in {time.monotonic() - begin:.0f} s; logs in {out}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return failed == 0 and passed > 0
