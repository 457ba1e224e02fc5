#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What p2pd knows of PCI functions, while they come, change and go: each with its uevents, with none
of them, and in storms of them. The truth is sysfs; here it is made of files (fake_machine.py)."""

import errno
import json
import os
import signal
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable

import daemon_case
import fake_machine
import p2pd_wire as wire
from fake_machine import Function

EXPORTER, VFIO, LOCKED, GPU, NVME = (f"0000:{bus}:00.0" for bus in ("01", "02", "03", "43", "42"))
GONE, REMOVAL = 8, 7
ADDED, REMOVED, CHANGED = 1, 2, 3
UNAVAILABLE = 2
LOST = "uevents were lost"


class DiscoveryCase(daemon_case.DaemonCase):
    """A machine for each test."""

    GROUP = fake_machine.KERNEL
    PREFIX: tuple[str, ...] = ()

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix="p2pd-nodes-")
        self.addCleanup(folder.cleanup)
        self.machine = fake_machine.Machine(Path(folder.name), self.GROUP)
        self.addCleanup(self.machine.end)
        for function in (
                Function("0000:00:01.0", "pcieport", {0: 4096}),
                Function(EXPORTER, "p2pdma_export", {0: 256, 2: 64 << 20}),
                Function(VFIO, "vfio-pci", {0: 1 << 20, 4: 8192}),
                Function(LOCKED, "p2pdma_export", {2: 1 << 20}, node=False),
                Function(GPU, "amdgpu", {0: 16 << 30}, vram=64 << 30),
                Function(NVME, "nvme", {0: 16384, 2: 128 << 20}, p2pmem=64 << 20)):
            self.machine.plug(function, is_told=False)
        self.OPTIONS = {"program": "p2pd-discovery", "prefix": self.PREFIX,
                        "environment": {"P2PD_FAKE_NODES": folder.name}}
        super().setUp()

    def listed(self) -> dict[str, tuple[int, int, bool]]:
        """As Machine.truth(), by p2pd."""
        client = self.daemon.client()
        found = {}
        for raw in client.list(wire.PROVIDERS):
            name, _driver, cause, backend, _force, flags, _leases, size = \
                wire.S_PROVIDER.unpack(raw)[:8]
            self.assertEqual(bool(flags & UNAVAILABLE), bool(wire.text(cause)))
            self.assertNotIn(wire.text(name), found)
            found[wire.text(name)] = (backend, size, not flags & UNAVAILABLE)
        client.close()
        return found

    def knows(self, seconds: float = 10.0) -> None:
        """p2pd comes to know the truth, and nothing else."""
        try:
            self.until(lambda: self.listed() == self.machine.truth(), seconds)
        except AssertionError:
            self.assertEqual(self.listed(), self.machine.truth(), self.daemon.text()[-1500:])

    def monitor(self) -> wire.Client:
        """A connection that hears of every provider."""
        client = self.client()
        client.call(wire.MONITOR, struct.pack("<II", 1, 0))
        return client

    def heard(self, monitor: wire.Client) -> list[tuple[int, str]]:
        """(type, provider) of all that it heard until now."""
        monitor.call(wire.STATUS)
        events = [wire.S_MONITOR.unpack(event.body) for event in monitor.events]
        monitor.events.clear()
        return [(event[0], wire.text(event[8]).split("@")[0]) for event in events
                if event[0] <= CHANGED]

    def change(self, address: str) -> bytes:
        """An event that says nothing."""
        return self.machine.packet(self.machine.functions[address], "change")

    def fill(self) -> None:
        """p2pd is stopped and its socket gets more than it has room for."""
        # Nor does it look for another reason: this one isn't tried again.
        os.symlink(LOCKED, self.machine.nodes / LOCKED)
        self.machine.uevents.send(self.change(LOCKED))
        time.sleep(0.5)
        os.kill(self.first_pid, signal.SIGSTOP)
        self.addCleanup(self.go_on)
        packets = [self.change(EXPORTER), self.change(GPU)]
        for _ in range(500):
            for _ in range(200):
                for packet in packets:
                    self.machine.uevents.send(packet)
            if self.machine.uevents.drops(self.first_pid):
                return
        self.fail("its socket never runs over")

    def go_on(self) -> None:
        """The opposite."""
        os.kill(self.first_pid, signal.SIGCONT)


class Kernel(DiscoveryCase):
    """Its events as they are."""

    def test_every_kind(self) -> None:
        """Each is listed from the start; what can't be leased from says what to do instead."""
        self.knows(0)
        client = self.client()
        lease = client.acquire(selector=EXPORTER)
        client.release(lease)
        for selector, word in ((f"{GPU}/vram", "publish the DMABUF"), ("backend:drm", "publish"),
                               (NVME, "p2pmem/allocate"), ("backend:p2pmem", "p2pmem/allocate"),
                               (LOCKED, "can't be opened (ENOENT)")):
            self.assertIn(word, self.refused(errno.EOPNOTSUPP, client.acquire, selector=selector))
        self.refused(errno.ENODEV, client.acquire, selector="0000:00:01.0")
        self.refused(errno.ENODEV, client.acquire, selector=f"{NVME}/vram")
        # With something for everybody nobody notices the rest.
        client.release(client.acquire())
        client.close()
        self.is_clean()

    def ctl_list(self, *arguments: str) -> str:
        """What p2pctl makes of that."""
        return subprocess.run([str(daemon_case.BUILD / "cli/p2pctl"), *arguments, "list"], check=True,
                              stdout=subprocess.PIPE, text=True,
                              env=dict(os.environ, P2PDMA_SOCKET=self.daemon.path)).stdout

    def test_a_size_that_nobody_tells(self) -> None:
        """Of vram few drivers tell it in sysfs: then it isn't 0."""
        self.machine.plug(Function("0000:44:00.0", "xe", {0: 16 << 30}, vram=0))
        self.knows()
        sizes = {row["name"].split("@")[0]: row["size_bytes"]
                 for row in json.loads(self.ctl_list("--json"))["providers"]}
        self.assertIsNone(sizes["0000:44:00.0/vram"])
        self.assertEqual(sizes[f"{GPU}/vram"], 64 << 30)
        self.assertRegex(self.ctl_list("--bytes"), r"0000:44:00\.0/vram@\d+ +drm +unknown ")

    def test_comes_and_goes(self) -> None:
        """Arrivals and departures of each kind: once told, and a name never means another one."""
        monitor = self.monitor()
        before = {address: name for name in self.machine.truth()
                  for address in [name.split("/")[0]]}
        for address in (EXPORTER, VFIO, LOCKED, GPU, NVME):
            function = self.machine.functions[address]
            names = sorted(n.split("@")[0] for n in self.machine.truth() if n.startswith(address))
            self.machine.unplug(address)
            self.knows()
            self.assertEqual(sorted(self.heard(monitor)), [(REMOVED, name) for name in names])
            self.refused(errno.ENODEV, monitor.acquire, selector=address)
            self.machine.plug(function)
            self.knows()
            self.assertEqual(sorted(self.heard(monitor)), [(ADDED, name) for name in names])
            self.refused(errno.ESTALE, monitor.acquire, selector=before[address])

    def test_changes_of_drivers(self) -> None:
        """Around all of them, with a lease that ends for its reason."""
        client = self.client()
        lease = client.acquire(selector=EXPORTER)
        self.machine.bind(EXPORTER, driver="vfio-pci")
        self.assertEqual(client.event(wire.EVENT_REVOKED).reason, REMOVAL)
        self.knows()
        for change in ({"driver": "amdgpu", "vram": 0}, {"driver": ""},
                       {"driver": "nvme", "p2pmem": 8192}, {"driver": "p2pdma_export"},
                       {"driver": "amdgpu", "vram": 4096, "p2pmem": 4096}, {"driver": "vfio-pci"},
                       {"driver": "p2pdma_export"}):
            self.machine.bind(EXPORTER, **change)
            self.knows()
        client.release(client.acquire(selector=EXPORTER))
        os.close(lease.fd)
        client.close()
        self.is_clean()

    def test_memory_that_comes_late(self) -> None:
        """A driver adds its memory after its probe: an event of a device below the function says so."""
        function = self.machine.functions[NVME]
        self.machine.bind(NVME, driver="nvme")
        self.knows()
        self.assertNotIn("p2pmem", "".join(self.machine.truth()))
        function.p2pmem = 32 << 20
        self.machine.add_p2pmem(self.machine.folder(function), function.p2pmem)
        self.machine.tell(function, "change", "/nvme/nvme0", "nvme")
        self.knows()
        self.machine.bind(GPU, driver="amdgpu")
        self.knows()
        gpu = self.machine.functions[GPU]
        gpu.vram = 0
        (self.machine.folder(gpu) / "drm/renderD128").mkdir(parents=True)
        self.machine.tell(gpu, "add", "/drm/renderD128", "drm")
        self.knows()

    def test_a_node_that_comes_late(self) -> None:
        """Tried again without an event; the same provider becomes available."""
        monitor = self.monitor()
        self.machine.tell(self.machine.functions[LOCKED], "change")
        time.sleep(0.3)
        os.mkfifo(self.machine.nodes / LOCKED)
        self.machine.functions[LOCKED].node = True
        self.knows()
        self.assertEqual(self.heard(monitor), [(CHANGED, f"{LOCKED}/2")])

    def test_events_that_mean_nothing(self) -> None:
        """Looked at, and nobody hears of it; nor of what isn't about a PCI function."""
        monitor = self.monitor()
        for _ in range(200):
            for address in (EXPORTER, VFIO, LOCKED, GPU, NVME):
                self.machine.uevents.send(self.change(address))
        for path in ("/devices/virtual/mem/null", "/", "", "//", "/0000:01:00.0/" + "x" * 900):
            self.machine.uevents.send(self.machine.uevents.packet("add", path, "pci"))
        self.machine.unplug(VFIO)
        self.knows()
        self.assertEqual(self.heard(monitor), [(REMOVED, f"{VFIO}/0"), (REMOVED, f"{VFIO}/4")])

    def test_overrun(self) -> None:
        """Nothing that happened then had an event: everything is looked at, and leases end rightly."""
        client, monitor = self.client(), self.monitor()
        gone = client.acquire(selector=EXPORTER)
        self.fill()
        before = self.machine.uevents.drops(self.first_pid)
        new = Function("0000:05:00.0", "p2pdma_export", {2: 2 << 20})
        replugged = self.machine.functions[VFIO]
        self.machine.unplug(EXPORTER)
        self.machine.unplug(LOCKED)
        self.machine.unplug(VFIO)
        self.machine.plug(replugged)
        self.machine.plug(new)
        self.machine.bind(GPU, driver="p2pdma_export")
        self.machine.bind(NVME, driver="vfio-pci")
        # Each has been lost.
        self.assertEqual(self.machine.uevents.drops(self.first_pid), before + 14)
        self.assertNotIn(LOST, self.daemon.text())
        self.go_on()
        self.until(lambda: LOST in self.daemon.text())
        self.knows()
        event = client.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (gone.id, GONE))
        self.assertEqual(len([1 for kind, _name in self.heard(monitor) if kind == REMOVED]), 6)
        client.release(client.acquire(selector=new.address))
        client.release(client.acquire(16 << 30, selector=GPU))
        self.refused(errno.ENODEV, client.acquire, selector=EXPORTER)
        os.close(gone.fd)
        # One node more is open than at the beginning.
        self.before += 1
        for each in (client, monitor):
            each.close()
        self.is_clean()

    def test_overrun_of_one_that_goes_by_another_driver(self) -> None:
        """Unbound and not gone: that is the reason that its holder gets."""
        client = self.client()
        lease = client.acquire(selector=EXPORTER)
        self.fill()
        self.machine.bind(EXPORTER, driver="vfio-pci")
        self.go_on()
        event = client.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, REMOVAL))
        self.knows()

    def weather(self, packets: list[bytes], amid: Callable[[], None]) -> None:
        """Serves while it storms; what happens then is known before it ends."""
        storm = self.machine.uevents.storm(packets, 4.0)
        begin = time.monotonic()
        longest, count, has_changed = 0.0, 0, False
        client = self.daemon.client(30.0)
        while storm.poll() is None:
            start = time.monotonic()
            client.release(client.acquire(selector=EXPORTER))
            client.call(wire.STATUS)
            longest = max(longest, time.monotonic() - start)
            count += 1
            if not has_changed and start - begin > 1.0:
                has_changed = True
                amid()
            elif has_changed and start - begin < 3.0:
                has_changed = start - begin < 2.0 or self.listed() == self.machine.truth()
                self.assertTrue(has_changed, "what happened two seconds ago isn't known")
        client.close()
        assert storm.stdout is not None
        sent = int(storm.stdout.read())
        storm.stdout.close()
        self.assertGreater(sent, 5000)
        self.assertGreater(count, 20)
        self.assertLess(longest, 1.0)
        self.knows()
        self.still_serves()

    def amid(self) -> None:
        """Something happens, and its events may get lost among the others."""
        self.machine.unplug(VFIO)
        self.machine.bind(GPU, driver="p2pdma_export")

    def test_storm(self) -> None:
        """Of one function, as fast as somebody can write to its `uevent`."""
        self.weather([self.change(EXPORTER)], self.amid)

    def test_storm_of_all(self) -> None:
        """Of everything that there is, and much that there isn't."""
        other = [Function(f"0000:{bus:02x}:00.0") for bus in range(0x80, 0xC0)]
        self.weather([self.change(address) for address in self.machine.functions]
                     + [self.machine.packet(f, "change") for f in other], self.amid)

    def test_storm_of_others(self) -> None:
        """Of devices that are no business of p2pd's."""
        uevents = self.machine.uevents
        self.weather([uevents.packet("change", f"/devices/virtual/block/loop{i}", "block")
                      for i in range(8)], self.amid)


class Udevd(Kernel):
    """The same with udevd between the kernel and p2pd."""

    GROUP = fake_machine.UDEV


class FewDescriptors(DiscoveryCase):
    """What can't be looked at hasn't gone."""

    PREFIX = ("prlimit", "--nofile=40:40")

    def test_out_of_descriptors(self) -> None:
        """No lease ends for it, and what came and went meanwhile is known when there are some again."""
        client = self.client()
        lease = client.acquire(selector=EXPORTER)
        crowd = []
        while len(self.daemon.fds()) < 40:
            crowd.append(self.stranger())
            time.sleep(0.02)
        for address in (EXPORTER, VFIO, LOCKED, GPU, NVME):
            self.machine.uevents.send(self.change(address))
        self.machine.unplug(VFIO)
        self.machine.plug(Function("0000:05:00.0", "vfio-pci", {2: 2 << 20}))
        time.sleep(0.3)
        client.renew(lease, 0)
        names = "".join(wire.text(raw[:64]) for raw in client.list(wire.PROVIDERS))
        for address in (EXPORTER, LOCKED, GPU, NVME):
            self.assertIn(address, names)
        self.assertNotIn("0000:05:00.0", names)
        for each in crowd:
            each.close()
        self.knows()
        client.renew(lease, 0)
        client.release(lease)
        client.close()
        self.is_clean()


if __name__ == "__main__":
    fake_machine.enter()
    daemon_case.main()
