#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kills p2pd again and again while processes use it, and counts what that did to them.

    tests/daemon/kill_harness.py BUILD [--kills N] [--seed S] [--workers N] [--expect FAULT]

$P2PDMA_KILLS is how often without --kills; 300 where that says nothing, either.

Each worker acquires, renews, releases, takes up again and revokes; p2pd is killed by SIGKILL at random
moments, also while it starts. Found out is:

    lost       a lease that a worker holds, and that p2pd no longer knows
    doubled    a page that two workers were granted exclusively at the same time
    disturbed  a lease that the (emulated) kernel no longer exports, or that has moved
    shortened  a renewal that was answered and is forgotten
    forgotten  a revocation that a worker was told of, or that was answered, and isn't under way
    kept       leases of p2pd that no worker holds, after their time to be taken up again
    leaked     descriptors of p2pd or p2pd-keeper that weren't open at the beginning
    stuck      a worker that got no answer, or a wrong one

--expect FAULT turns it round: the p2pd is built wrong on purpose ($P2PD_BROKEN, see broken.c), and
the harness fails when it doesn't notice. It ends with the first fault; --kills is how often at most."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import kill_worker
import p2pd_run
import p2pd_wire as wire

BAR = 64 << 20
REATTACH_S = 5.0
PATIENCE_S = 20.0
EPOCH = 1000
POLICY = f"""
[daemon]
reattach-time = {int(REATTACH_S * 1000)}ms

[rule everybody]
allow = yes
"""


def kinds(names: list[str]) -> list[str]:
    """Descriptors without the numbers that differ each time."""
    return sorted(re.sub(r"\[\d+\]", "", name) for name in names)


class Harness:
    """One run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.random = random.Random(options.seed)
        self.faults: list[str] = []
        self.kills = 0
        # pylint: disable=consider-using-with
        self.daemon = p2pd_run.Daemon(options.build, POLICY, bar=BAR,
                                      program="p2pd-broken" if options.expect else
                                      "p2pd-emulated",
                                      environment={"P2PD_BROKEN": options.expect or ""})
        self.shared = kill_worker.Shared(options.workers, BAR // kill_worker.PAGE,
                                         multiprocessing.Lock())
        self.results: list[int] = []
        self.children: list[int] = []

    def fork(self, number: int) -> None:
        """One worker."""
        read_fd, write_fd = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_fd)
            worker = kill_worker.Worker(self.daemon.path, str(self.daemon.kernel), self.shared,
                                        number, self.options.seed)
            kill_worker.main(worker, write_fd)
            os._exit(0)
        os.close(write_fd)
        self.results.append(read_fd)
        self.children.append(child)

    def kill_some(self, count: int) -> None:
        """At moments that say nothing about what it is doing; but a worker that a busy machine keeps
        from its turn for long may have it before the next, or it would lose its leases rightly."""
        for _ in range(count):
            if self.shared.has_faults:
                return
            time.sleep(self.random.uniform(0, 0.03))
            while not self.shared.all_had_all(REATTACH_S / 2) and not self.shared.has_faults:
                time.sleep(0.001)
            self.daemon.kill()
            self.kills += 1

    def settle(self, phase: int) -> None:
        """No kills for a moment: what does p2pd know now?"""
        self.shared.phase = phase
        end = time.monotonic() + 60
        while not self.shared.settled(phase):
            if time.monotonic() > end:
                self.faults.append("stuck: the workers don't come to rest")
                return
            time.sleep(0.01)
        time.sleep(REATTACH_S * 1.5)
        with open(self.daemon.log, "r+b") as log:
            log.truncate()
        client = self.daemon.client()
        end = time.monotonic() + PATIENCE_S
        while (known := len(client.leases())) != self.shared.owners():
            if time.monotonic() > end:
                self.faults.append(f"kept: p2pd knows {known} leases, the workers hold "
                                   f"{self.shared.owners()}")
                break
            time.sleep(0.05)
        client.close()

    def descriptors(self) -> tuple[list[str], int]:
        """Of p2pd by kind, and how many the keeper has."""
        keeper = Path(f"/proc/{self.daemon.process.pid}/fd")
        return kinds(self.daemon.fds()), len(list(keeper.iterdir()))

    def at_rest(self, wanted: tuple[list[str], int] | None = None) -> tuple[list[str], int]:
        """The same, once p2pd has noticed who hung up, and the keeper what p2pd gave up."""
        self.daemon.reconnect().close()
        end = time.monotonic() + PATIENCE_S
        found = self.descriptors()
        while time.monotonic() < end:
            time.sleep(0.1)
            before, found = found, self.descriptors()
            if found == wanted or (wanted is None and found == before
                                   and not any("pidfd" in name for name in found[0])):
                break
        return found

    def collect(self) -> dict[str, int]:
        """The workers end; what they found."""
        done: dict[str, int] = {}
        self.shared.phase = kill_worker.END
        for read_fd, child in zip(self.results, list(self.children)):
            with os.fdopen(read_fd, encoding="utf-8") as handle:
                result = json.load(handle)
            os.waitpid(child, 0)
            self.children.remove(child)
            self.faults += result["faults"]
            for name, count in result["done"].items():
                done[name] = done.get(name, 0) + count
        return done

    def end_workers(self) -> None:
        """Those that are left after a failure."""
        for child in self.children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def run(self) -> dict[str, int]:
        """All of it."""
        self.daemon.kill()
        before = self.at_rest()
        for number in range(self.options.workers):
            self.fork(number)
        phase = kill_worker.END + 1
        while self.kills < self.options.kills and not self.faults:
            self.kill_some(min(EPOCH, self.options.kills - self.kills))
            if self.shared.has_faults:
                break
            self.settle(phase)
            self.shared.phase = kill_worker.RUN
            phase += 1
        time.sleep(0.5)
        done = self.collect()
        after = self.at_rest(before)
        if after != before:
            self.faults.append(f"leaked: {before} before, {after} after")
        return done


def main() -> int:
    """0 when nothing was found, or what was expected."""
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("P2PDMA_KILLS", "300")))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--expect", choices=("lost", "doubled", "leaked", "shortened", "forgotten"))
    options = parser.parse_args()
    begin = time.monotonic()
    harness = Harness(options)
    done: dict[str, int] = {}
    try:
        done = harness.run()
    except (OSError, EOFError, AssertionError) as error:
        harness.faults.append(f"stuck: {error!r}")
    finally:
        harness.end_workers()
    text = harness.daemon.text()[-3000:]
    if harness.daemon.stop() != 0:
        harness.faults.append("stuck: p2pd did not end well")
    found = {fault.split(":")[0] for fault in harness.faults}
    print(f"{harness.kills} kills in {time.monotonic() - begin:.1f} s, seed {options.seed}: "
          + ", ".join(f"{count} {name}" for name, count in done.items()))
    print(*harness.faults[:20], sep="\n")
    if options.expect:
        print(f"expected: {options.expect}, found: {sorted(found)}")
        return 0 if options.expect in found else 1
    if harness.faults:
        print(text)
    return 1 if harness.faults else 0


if __name__ == "__main__":
    sys.exit(main())
