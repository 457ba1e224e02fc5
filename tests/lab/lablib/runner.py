# SPDX-License-Identifier: MIT
"""Runs scenarios, several guests at once if wanted, and says how they went."""

from __future__ import annotations

import itertools
import math
import os
import queue
import sys
import threading
import time
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

    def prepare(self, scenarios: list[Scenario]) -> Prepared:
        """Everything that is shared, before the first guest starts."""
        prepared = self.shop.by_key(self.kernel)
        for kind in sorted({(s.values["librxe"], s.values["userland"]) for s in scenarios}):
            self.shop.layers(self.kernel, *kind)
        programs = {p.name for p in self.shop.programs()}
        for scenario in scenarios:
            missing = [n for n in scenario.values["needs"].split() if n not in programs]
            if missing:
                raise LabError(f"{scenario.title} needs {', '.join(missing)}, "
                               "which this tree does not build")
        self.kvm = self._probe_kvm()
        return prepared

    def _probe_kvm(self) -> bool:
        target = self.out / "probe.cpio"
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return False
        layers = self.shop.layers(self.kernel, "stock")
        files = {"lab/config": "MODULES=''\nINTERACTIVE=''\n",
                 "lab/scenario.sh": "ok 'the guest boots' true\n"}
        initrd.assemble(target, layers, initrd.scenario_layer(files))
        return qemu.kvm_boots(self.shop.by_key(self.kernel).unpacked, target)

    def machine(self, scenario: Scenario, image: Path) -> qemu.Machine:
        """The virtual machine for one scenario."""
        values = scenario.values
        board = topology.load(values["topology"])
        memory = dict(board.memory_mib)
        for extra in scenario.lists["file"]:
            name, _, mib = extra.partition(":")
            memory[name] = int(mib)
        board.memory_mib = memory
        arguments = topology.qemu_arguments(board, Path("@files@"), values["iommu"],
                                            scenario.lists["device"])
        arguments += [word for line in scenario.lists["qemu"] for word in line.split()]
        if values["hotplug"] == "native":
            arguments += NATIVE_HOTPLUG
        cmdline = [*CMDLINE, *topology.kernel_arguments(values["iommu"]),
                   *(SYSTEMD_CMDLINE if values["userland"] == "systemd" else ()),
                   *values["cmdline"].split()]
        prepared = self.shop.by_key(self.kernel)
        # The debug kernel has no ASPM, and firmware hands hot-plug only to who has.
        if values["hotplug"] == "native" and prepared.is_debug:
            cmdline.append("pcie_ports=native")
        memory_mib = int(values["memory"]) * (2 if prepared.is_debug else 1)
        kernel = prepared.vmlinuz if values["image"] == "packed" else prepared.unpacked
        return qemu.Machine(kernel, image, cmdline, arguments, values["cpu"],
                            memory_mib, memory, self.kvm)

    def image(self, scenario: Scenario, where: Path, interactive: bool = False) -> Path:
        """The initrd of one scenario."""
        layers = list(self.shop.layers(self.kernel, scenario.values["librxe"],
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

    def run_one(self, scenario: Scenario) -> Result:
        """Run one scenario in a guest of its own."""
        prepared = self.shop.by_key(self.kernel)
        where = self.out / scenario.title.replace("/", "_")
        where.mkdir(parents=True, exist_ok=True)
        image = self.image(scenario, where)
        timeout = scenario.timeout_s * self.factor
        if prepared.is_debug:
            timeout *= DEBUG_TIMEOUT_FACTOR
        try:
            outcome = self._boot(scenario, image, where, timeout)
        finally:
            image.unlink(missing_ok=True)
        return results.judge(scenario, outcome, prepared.label)

    def _boot(self, scenario: Scenario, image: Path, where: Path, timeout: float) -> qemu.Outcome:
        """Start its guest and wait for its end; once more if it never came up."""
        on_line = _tell if self.is_story else None
        for boot in itertools.count(1):
            outcome = qemu.run(self.machine(scenario, image), where, timeout, on_line)
            if outcome.lines or not outcome.timed_out or boot == BOOTS:
                break
            say(f"{scenario.title}: the guest did not come up, once more")
        return outcome

    def run_all(self, scenarios: list[Scenario]) -> list[Result]:
        """Run @scenarios, at most self.jobs at a time; results in their order."""
        waiting: queue.SimpleQueue[tuple[int, Scenario]] = queue.SimpleQueue()
        for item in enumerate(scenarios):
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
                text = (where / "console.log").read_text(encoding="utf-8", errors="replace")
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
