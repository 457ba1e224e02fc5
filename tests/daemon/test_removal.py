#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Functions whose removal is pending: their leases end by the deadline, also when p2pd is killed meanwhile,
and before it has heard of it."""

import os
import signal
import tempfile
import time
from pathlib import Path

import daemon_case
import fake_machine
import p2pd_run
import p2pd_wire as wire
from fake_machine import Function

EXPORTER, VFIO = (f"0000:{bus}:00.0" for bus in ("01", "02"))
BAR = 1 << 20
REMOVAL = 7
SECOND = 10**9


class Removal(daemon_case.DaemonCase):
    """One function of the module, one of VFIO; of each something is mapped."""

    POLICY = p2pd_run.DEFAULT_POLICY.replace("revoke-deadline = 500ms", "revoke-deadline = 4s") \
        .replace("reattach-time = 5s", "reattach-time = 60s")

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix="p2pd-nodes-")
        self.addCleanup(folder.cleanup)
        self.machine = fake_machine.Machine(Path(folder.name), fake_machine.KERNEL)
        self.addCleanup(self.machine.end)
        for function in (Function(EXPORTER, "p2pdma_export", {2: BAR}),
                         Function(VFIO, "vfio-pci", {2: BAR, 4: BAR})):
            self.machine.plug(function, is_told=False)
        self.mapped = self.machine.nodes / "mapped"
        self.mapped.touch()
        self.OPTIONS = {"program": "p2pd-discovery",
                        "environment": {"P2PD_FAKE_NODES": folder.name}}
        super().setUp()

    def deadline(self, client: wire.Client, lease: wire.Lease) -> int:
        """Asked for because of the removal: until when."""
        event = client.event(wire.EVENT_REVOKE_REQUESTED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, REMOVAL))
        return wire.S_EVENT.unpack(event.body)[5]

    def killed(self) -> wire.Client:
        """A connection to the next p2pd."""
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        return client

    def listed(self, address: str) -> int:
        """How many providers it has."""
        client = self.daemon.client()
        found = [raw for raw in client.list(wire.PROVIDERS) if address.encode() in raw]
        client.close()
        return len(found)

    def lets_go(self, address: str) -> None:
        """The kernel does, of what nothing maps any more; it may come back."""
        self.mapped.unlink(missing_ok=True)
        self.machine.tell(self.machine.functions[address], "unbind")
        self.until(lambda: not self.listed(address))
        self.machine.bind(address, driver="p2pdma_export")
        self.until(lambda: self.listed(address))
        client = self.client()
        client.release(client.acquire(BAR, address))

    def test_killed_while_pending(self) -> None:
        """The deadline stays; who takes the lease up again is asked again, and may let go."""
        for address in (EXPORTER, VFIO):
            client = self.client()
            lease = client.acquire(4096, address)
            self.machine.bind(address, driver="")
            until = self.deadline(client, lease)
            for _ in range(3):
                client = self.killed()
                found = client.attach(lease)
                self.assertEqual((found.state, found.reason, found.deadline_ns),
                                 (wire.REVOKING, REMOVAL, until))
                self.assertEqual(self.deadline(client, lease), until)
            with self.assertRaises(wire.Refused):
                client.acquire(4096, address)
            client.ack(lease)
            event = client.event(wire.EVENT_REVOKED)
            self.assertEqual((event.lease_id, event.reason), (lease.id, REMOVAL))
            self.assertLess(time.monotonic_ns(), until)
            self.lets_go(address)
            self.mapped.touch()

    def test_bound_again_before_it_looked(self) -> None:
        """The function can be leased from again, also where nothing but its let-go is noticed."""
        client = self.client()
        lease = client.acquire(4096, VFIO)
        self.machine.bind(VFIO, driver="")
        self.deadline(client, lease)
        self.machine.bind(VFIO, is_told=False, driver="vfio-pci")
        client.ack(lease)
        self.assertEqual(client.event(wire.EVENT_REVOKED).lease_id, lease.id)

        def leases() -> bool:
            try:
                client.release(client.acquire(BAR, f"{VFIO}/2"))
                return True
            except wire.Refused:
                return False

        self.until(leases)
        self.assertEqual(self.listed(VFIO), 2)

    def test_at_the_deadline(self) -> None:
        """Who doesn't answer loses it then, whichever p2pd began it."""
        for address in (EXPORTER, VFIO):
            client = self.client()
            lease = client.acquire(4096, address)
            self.machine.bind(address, driver="")
            until = self.deadline(client, lease)
            client = self.killed()
            client.attach(lease)
            event = client.event(wire.EVENT_REVOKED)
            self.assertEqual(event.reason, REMOVAL)
            self.assertGreaterEqual(time.monotonic_ns(), until)
            self.assertLess(time.monotonic_ns(), until + 3 * SECOND)
            self.lets_go(address)
            self.mapped.touch()

    def test_killed_before_it_heard(self) -> None:
        """The next p2pd sees it, and begins."""
        for address in (EXPORTER, VFIO):
            client = self.client()
            leases = [client.acquire(4096, f"{address}/2") for _ in range(3)]
            pid = self.daemon.pid()
            os.kill(pid, signal.SIGSTOP)
            self.machine.bind(address, driver="")
            os.kill(pid, signal.SIGKILL)
            client = self.daemon.reconnect()
            self.opened.append(client)
            for lease in leases:
                self.assertEqual(client.attach(lease).state, wire.REVOKING)
                self.assertGreater(self.deadline(client, lease), time.monotonic_ns())
                client.ack(lease)
            ended = {client.event(wire.EVENT_REVOKED).lease_id for _ in leases}
            self.assertEqual(ended, {lease.id for lease in leases})
            self.lets_go(address)
            self.mapped.touch()

    def test_over_while_away(self) -> None:
        """What the kernel has let go of by then has gone."""
        client = self.client()
        lease = client.acquire(4096, EXPORTER)
        pid = self.daemon.pid()
        os.kill(pid, signal.SIGSTOP)
        self.mapped.unlink()
        self.machine.unplug(EXPORTER)
        os.kill(pid, signal.SIGKILL)
        client = self.daemon.reconnect()
        self.opened.append(client)
        with self.assertRaises(wire.Refused):
            client.attach(lease)
        self.assertIn(f"audit ended lease={lease.id}", self.daemon.text())
        self.assertIn("reason=gone", self.daemon.text())
        self.assertEqual(self.listed(EXPORTER), 0)

    def test_unplugged_while_away(self) -> None:
        """Nothing of it is in sysfs, and it is still held up."""
        client = self.client()
        lease = client.acquire(4096, EXPORTER)
        function = self.machine.functions[EXPORTER]
        self.machine.unplug(EXPORTER)
        until = self.deadline(client, lease)
        client = self.killed()
        self.assertEqual(client.attach(lease).deadline_ns, until)
        self.assertEqual(self.listed(EXPORTER), 1)
        client.release(lease)
        self.mapped.unlink()
        self.machine.plug(function)
        new = f"{EXPORTER}/2@{self.machine.folder(function).stat().st_ino}"
        self.until(lambda: self.listed(new))
        client.release(client.acquire(BAR, new))
        self.assertEqual(self.listed(EXPORTER), 1)


if __name__ == "__main__":
    fake_machine.enter()
    daemon_case.main()
