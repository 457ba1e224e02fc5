# SPDX-License-Identifier: MIT
"""One of the processes of the kill harness: it acquires, renews, releases, takes up again and now
and then wants everybody's leases back, and notes each page that it was granted in a map that all of
them share."""

from __future__ import annotations

import errno
import json
import mmap
import os
import random
import struct
import time
from multiprocessing.synchronize import Lock

import p2pd_wire as wire

PAGE = 4096
MOST = 6
TTL_MS = 600_000
DEADLINE_MS = 3_600_000
RUN, SETTLE, END = 0, 1, 2
EXPORTS_AT, EXPORT, NR_EXPORTS = 24, struct.Struct("<IIQQ"), 131072


class Shared:
    """What the processes share: the phase, of each worker an answer, whether it found a fault and
    when it last had all its leases, the owner of each page."""

    def __init__(self, workers: int, pages: int, lock: Lock) -> None:
        self.lock = lock
        self.workers = workers
        self.memory = mmap.mmap(-1, 4 * (1 + 3 * workers + pages))
        self.words = memoryview(self.memory).cast("I")

    @property
    def phase(self) -> int:
        """RUN, or a number for which each worker must answer."""
        return self.words[0]

    @phase.setter
    def phase(self, value: int) -> None:
        self.words[0] = value

    def settled(self, phase: int) -> bool:
        """Has each worker seen the phase?"""
        return all(self.words[1 + i] == phase for i in range(self.workers))

    def found_fault(self, worker: int) -> None:
        """Nobody need go on."""
        self.words[1 + self.workers + worker] = 1

    @property
    def has_faults(self) -> bool:
        """Has any worker found one?"""
        return any(self.words[1 + self.workers + i] for i in range(self.workers))

    def has_all(self, worker: int) -> None:
        """Of its leases, at this moment."""
        self.words[1 + 2 * self.workers + worker] = self.now_ms()

    def all_had_all(self, seconds: float) -> bool:
        """Within so many."""
        return all(self.now_ms() - self.words[1 + 2 * self.workers + i] & 0xffffffff
                   <= seconds * 1000 for i in range(self.workers))

    @staticmethod
    def now_ms() -> int:
        """As much of it as a word takes."""
        return int(time.monotonic() * 1000) & 0xffffffff

    def claim(self, page: int, owner: int) -> int:
        """Whose it was before: 0, or it was granted twice."""
        place = 1 + 3 * self.workers + page
        with self.lock:
            before = self.words[place]
            self.words[place] = owner
        return before

    def owners(self) -> int:
        """How many pages have one."""
        return sum(1 for word in self.words[1 + 3 * self.workers:] if word)


class Worker:
    """Runs in a process of its own."""

    def __init__(self, path: str, kernel: str, shared: Shared, number: int, seed: int) -> None:
        self.path = path
        self.shared = shared
        self.number = number
        self.random = random.Random(seed * 1000 + number)
        self.held: dict[int, wire.Lease] = {}
        self.ending: list[wire.Lease] = []
        self.told: set[int] = set()
        self.faults: list[str] = []
        self.done = {"acquired": 0, "renewed": 0, "released": 0, "attached": 0, "revoked": 0,
                     "told": 0}
        self.client: wire.Client | None = None
        with open(kernel, "rb") as handle:
            self.kernel = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)

    def fault(self, kind: str, lease: wire.Lease, more: str = "") -> None:
        """Lost, doubled, disturbed, shortened, forgotten or stuck."""
        self.faults.append(f"{kind}: worker {self.number}, lease {lease.id} at "
                           f"{lease.offset:#x} {more}")
        self.shared.found_fault(self.number)

    # -- connections --

    def connect(self) -> None:
        """Until it is there, with every lease taken up again."""
        while True:
            try:
                self.client = wire.Client(self.path, 20.0).hello()
                self.attach_all()
                self.shared.has_all(self.number)
                return
            except TimeoutError:
                raise
            except (OSError, EOFError):
                self.drop()
                time.sleep(0.001)

    def drop(self) -> None:
        """Without a word."""
        self.learn()
        if self.client:
            self.client.close()
        self.client = None

    def learn(self) -> None:
        """Which leases are wanted back: whoever is told so is told for ever."""
        for event in self.client.events if self.client else []:
            if event.opcode == wire.EVENT_REVOKE_REQUESTED and event.lease_id in self.held:
                self.done["told"] += event.lease_id not in self.told
                self.told.add(event.lease_id)
        if self.client:
            self.client.events.clear()

    def attach(self, lease: wire.Lease) -> wire.Lease | None:
        """None: it is over."""
        assert self.client
        end = time.monotonic() + 10
        while True:
            try:
                return self.client.attach(lease)
            except wire.Refused as refused:
                # The old connection isn't noticed yet.
                if refused.error == errno.EBUSY and time.monotonic() < end:
                    time.sleep(0.001)
                    continue
                if refused.error in (errno.ESTALE, errno.ENOENT):
                    return None
                raise

    def attach_all(self) -> None:
        """What it holds must be there; what it was giving back may be."""
        assert self.client
        for lease in list(self.held.values()):
            found = self.attach(lease)
            if not found:
                self.fault("lost", lease)
                self.forget(lease)
                continue
            self.done["attached"] += 1
            if found.expires_ns < lease.expires_ns:
                self.fault("shortened", lease, f"{found.expires_ns} < {lease.expires_ns}")
            lease.expires_ns = found.expires_ns
            if lease.id in self.told and found.state == wire.ACTIVE:
                self.fault("forgotten", lease)
            if found.offset != lease.offset or not self.is_exported(lease) or \
                    found.state not in (wire.ACTIVE, wire.REVOKING):
                self.fault("disturbed", lease, f"state {found.state}")
        for lease in list(self.ending):
            if self.attach(lease):
                self.client.release(lease)
            self.ending.remove(lease)

    def is_exported(self, lease: wire.Lease) -> bool:
        """Does the emulated kernel still export what the descriptor stands for?"""
        (ident,) = struct.unpack("<I", os.pread(lease.fd, 4, 0))
        found, state, offset, _length = EXPORT.unpack_from(
            self.kernel, EXPORTS_AT + ident % NR_EXPORTS * EXPORT.size)
        return (found, state, offset) == (ident, 1, lease.offset)

    # -- what it does --

    def forget(self, lease: wire.Lease) -> None:
        """It is no longer its owner, and closes the descriptor."""
        self.shared.claim(lease.offset // PAGE, 0)
        self.held.pop(lease.id, None)
        self.told.discard(lease.id)
        if lease.fd >= 0:
            os.close(lease.fd)
            lease.fd = -1

    def acquire(self) -> None:
        """One page, exclusively."""
        assert self.client
        lease = self.client.acquire(PAGE, ttl_ms=TTL_MS)
        before = self.shared.claim(lease.offset // PAGE, self.number + 1)
        if before:
            self.fault("doubled", lease, f"worker {before - 1} has it")
        self.held[lease.id] = lease
        self.done["acquired"] += 1

    def release(self) -> None:
        """From before the request on it isn't its own any more."""
        assert self.client
        lease = self.random.choice(list(self.held.values()))
        self.forget(lease)
        self.ending.append(lease)
        self.client.release(lease)
        self.ending.remove(lease)
        self.done["released"] += 1

    def renew(self) -> None:
        """Once it is said, it is true. What is wanted back can't be, and that was told before."""
        assert self.client
        lease = self.random.choice(list(self.held.values()))
        try:
            lease.expires_ns = self.client.renew(lease, TTL_MS)
            self.done["renewed"] += 1
        except wire.Refused as refused:
            self.learn()
            if refused.error != errno.ESTALE or lease.id not in self.told:
                raise

    def revoke(self) -> None:
        """All leases of everybody: there is time, but from now on they are wanted back."""
        assert self.client
        self.client.revoke(wire.SCOPE_ALL, deadline_ms=DEADLINE_MS)
        self.learn()
        for lease in self.held.values():
            if lease.id not in self.told:
                self.fault("forgotten", lease, "by who was to be told")
        self.done["revoked"] += 1

    def step(self) -> None:
        """One of them."""
        dice = self.random.random()
        if not self.held or (dice < 0.4 and len(self.held) < MOST):
            self.acquire()
        elif dice < 0.75:
            self.release()
        elif dice < 0.98:
            self.renew()
        elif dice < 0.99:
            self.revoke()
        else:
            self.drop()
            self.connect()

    def settle(self, phase: int) -> None:
        """Connected, everything taken up, and quiet until the phase is over."""
        while True:
            try:
                if not self.client:
                    self.connect()
                assert self.client
                self.client.call(wire.STATUS)
                break
            except (EOFError, ConnectionError):
                self.drop()
        self.shared.words[1 + self.number] = phase
        while self.shared.phase == phase:
            time.sleep(0.002)

    def run(self) -> None:
        """Until the phase END."""
        while True:
            phase = self.shared.phase
            if phase == END:
                return
            if phase != RUN:
                self.settle(phase)
                continue
            try:
                if not self.client:
                    self.connect()
                self.step()
                self.shared.has_all(self.number)
            except (EOFError, ConnectionError):
                self.drop()

    def finish(self) -> None:
        """Everything is given back."""
        while self.held or self.ending or not self.client:
            try:
                if not self.client:
                    self.connect()
                if self.held:
                    self.release()
                elif self.ending:
                    self.attach_all()
            except (EOFError, ConnectionError):
                self.drop()
        self.drop()


def main(worker: Worker, result_fd: int) -> None:
    """The process: its findings as JSON."""
    try:
        worker.run()
        worker.finish()
    except Exception as error:  # pylint: disable=broad-exception-caught
        worker.faults.append(f"stuck: worker {worker.number}: {error!r}")
        worker.shared.found_fault(worker.number)
    with os.fdopen(result_fd, "w", encoding="utf-8") as out:
        json.dump({"faults": worker.faults, "done": worker.done}, out)
