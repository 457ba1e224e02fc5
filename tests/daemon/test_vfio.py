#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Functions of VFIO whose opening and closing take their time: who wants one waits for it, nobody else
does, and whatever happens meanwhile nothing is left open or leased."""

import errno
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

EXPORTER, VFIO, OTHER = (f"0000:{bus}:00.0" for bus in ("01", "02", "03"))
BAR = 1 << 20
HOLDER, GONE, REMOVAL, SHUTDOWN = 1, 8, 7, 10
OPEN, CLOSE = "hold-open", "hold-close"


class VfioCase(daemon_case.DaemonCase):
    """One function of the module, two of VFIO."""

    KEEPER = True
    ENVIRONMENT: dict[str, str] = {}

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix="p2pd-nodes-")
        self.addCleanup(folder.cleanup)
        self.machine = fake_machine.Machine(Path(folder.name), fake_machine.KERNEL)
        self.addCleanup(self.machine.end)
        for function in (Function(EXPORTER, "p2pdma_export", {2: 64 << 20}),
                         Function(VFIO, "vfio-pci", {2: BAR}),
                         Function(OTHER, "vfio-pci", {2: BAR})):
            self.machine.plug(function, is_told=False)
        self.OPTIONS = {"program": "p2pd-discovery", "keeper": self.KEEPER,
                        "environment": {"P2PD_FAKE_NODES": folder.name, **self.ENVIRONMENT}}
        super().setUp()
        self.kept = self.nr_kept()

    def hold(self, what: str) -> None:
        """From now on it takes its time."""
        (self.machine.nodes / what).touch()

    def go_on(self, what: str) -> None:
        """Until now."""
        (self.machine.nodes / what).unlink()

    def nr_kept(self) -> int:
        """How many descriptors the keeper has."""
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd")) if self.KEEPER else 0

    def nr_open(self) -> int:
        """How many functions of VFIO p2pd has open."""
        return sum("/vfio" in name for name in self.daemon.fds())

    def all_closed(self) -> None:
        """By p2pd and its keeper, and with memory decode off."""
        self.until(lambda: self.nr_open() == 0)
        self.until(lambda: self.nr_kept() == self.kept)
        for node in self.machine.nodes.glob("vfio*"):
            self.assertEqual(node.read_bytes()[4] & 2, 0)

    def ask(self, client: wire.Client, selector: str = VFIO, length: int = BAR,
            nonce: int = 0) -> None:
        """For a lease; the answer isn't read here."""
        client.serial += 1
        body = wire.S_ACQUIRE.pack(selector.encode(), b"", b"", wire.EXCLUSIVE,
                                   wire.READ | wire.WRITE, 0, 0, length, 0, 0, nonce, 0, 0)
        client.send_raw(wire.packet(wire.ACQUIRE, body, client.serial))

    def waits(self, client: wire.Client, seconds: float = 0.3) -> None:
        """No answer in that time."""
        client.sock.settimeout(seconds)
        with self.assertRaises(TimeoutError):
            client.receive()
        client.sock.settimeout(client.timeout)

    def answered(self, client: wire.Client) -> wire.Lease:
        """With the lease."""
        opcode, _, error, body, fd = client.receive()
        self.assertEqual((opcode, error), (wire.ACQUIRE | wire.REPLY, 0), wire.text(body[:240]))
        os.close(fd)
        return wire.Lease.parse(body)

    def denied(self, client: wire.Client, error: int) -> str:
        """With this error; the cause."""
        opcode, _, got, body, fd = client.receive()
        self.assertEqual((opcode, -got, fd), (wire.ACQUIRE | wire.REPLY, error, -1),
                         wire.text(body[:240]))
        return wire.text(body[:240])

    def serves(self) -> None:
        """Others, at once."""
        begin = time.monotonic()
        client = self.daemon.client()
        client.release(client.acquire(selector=EXPORTER))
        client.call(wire.STATUS)
        client.close()
        self.assertLess(time.monotonic() - begin, 1.0)


class Vfio(VfioCase):
    """Below its keeper."""

    def test_opening(self) -> None:
        """The first lease waits for it, and so does the second; nobody else."""
        self.hold(OPEN)
        first, second = self.client(), self.client()
        self.ask(first, length=4096)
        self.ask(second, length=4096)
        self.waits(first)
        self.waits(second)
        self.serves()
        self.go_on(OPEN)
        leases = [self.answered(client) for client in (first, second)]
        self.assertEqual([lease.state for lease in leases], [wire.ACTIVE] * 2)
        # One function and what it is bound to.
        self.assertEqual((self.nr_open(), self.nr_kept()), (1, self.kept + 2))
        first.release(leases[0])
        self.assertEqual(self.nr_open(), 1)
        second.release(leases[1])
        self.all_closed()

    def test_closing(self) -> None:
        """Given back is given back; who wants the same slice gets it from the next opening."""
        client, other = self.client(), self.client()
        lease = client.acquire(BAR, VFIO)
        self.hold(CLOSE)
        client.release(lease)
        self.until(lambda: self.machine.nodes.joinpath("vfio2").read_bytes()[4] & 2 == 0)
        self.ask(other)
        self.waits(other)
        self.serves()
        self.go_on(CLOSE)
        lease = self.answered(other)
        other.release(lease)
        self.all_closed()
        # As often as one likes, with or without somebody who waits.
        for _ in range(20):
            lease = client.acquire(BAR, VFIO)
            client.release(lease)
        for each in (client, other):
            each.close()
        self.all_closed()
        self.is_clean()

    def test_revoked(self) -> None:
        """At once: holders hear of its end when it is over, and nobody is called busy."""
        client, admin = self.client(), self.client()
        leases = [client.acquire(4096, VFIO) for _ in range(3)]
        self.hold(CLOSE)
        self.assertEqual(admin.revoke(wire.SCOPE_PROVIDER, selector=VFIO), (3, 0))
        self.waits(client)
        self.assertEqual(len(admin.leases()), 3)
        self.serves()
        self.go_on(CLOSE)
        ended = {client.event(wire.EVENT_REVOKED).lease_id for _ in leases}
        self.assertEqual(ended, {lease.id for lease in leases})
        for lease in leases:
            os.close(lease.fd)
        self.all_closed()

    def test_cannot_be_opened(self) -> None:
        """Whoever waited hears why; the next one tries again."""
        (self.machine.nodes / "refuse").touch()
        self.hold(OPEN)
        clients = [self.client() for _ in range(3)]
        for client in clients:
            self.ask(client, length=4096)
        self.waits(clients[0])
        self.go_on(OPEN)
        for client in clients:
            self.assertIn("can't open /dev/vfio/devices/vfio2: EIO", self.denied(client, errno.EIO))
        self.go_on("refuse")
        lease = clients[0].acquire(BAR, VFIO)
        clients[0].release(lease)
        self.all_closed()

    def test_somebody_else_has_it(self) -> None:
        """The same of one that another process has open."""
        node = self.machine.nodes / "vfio2"
        with open(node, "rb") as handle:
            import fcntl  # pylint: disable=import-outside-toplevel
            fcntl.flock(handle, fcntl.LOCK_EX)
            client = self.client()
            self.assertIn("somebody else has it",
                          self.refused(errno.EBUSY, client.acquire, BAR, VFIO))
        os.close(client.acquire(BAR, VFIO).fd)

    def test_somebody_has_it_for_a_moment(self) -> None:
        """As systemd has its copy of what it says that it has forgotten: nobody hears of that."""
        client = self.client()
        # pylint: disable=consider-using-with
        handle = open(self.machine.nodes / "vfio2", "rb")
        import fcntl  # pylint: disable=import-outside-toplevel
        fcntl.flock(handle, fcntl.LOCK_EX)
        self.ask(client)
        time.sleep(0.05)
        handle.close()
        client.release(self.answered(client))
        self.all_closed()

    def test_hangs_up_while_opening(self) -> None:
        """It is opened for nobody, and closed again."""
        self.hold(OPEN)
        client = self.client()
        self.ask(client)
        self.waits(client)
        client.close()
        self.until(lambda: self.status() == (0, 0))
        self.hold(CLOSE)
        self.go_on(OPEN)
        self.until(lambda: self.nr_open() == 1)
        self.go_on(CLOSE)
        self.all_closed()
        self.assertNotIn("audit granted", self.daemon.text())

    def test_dies_while_opening(self) -> None:
        """The same; who waited as well gets it."""
        self.hold(OPEN)

        def run() -> None:
            client = self.daemon.client()
            self.ask(client)
            signal.pause()

        child = self.fork(run)
        self.until(lambda: self.status() == (1, 0))
        time.sleep(0.2)
        other = self.client()
        self.ask(other)
        self.waits(other)
        os.kill(child, signal.SIGKILL)
        self.until(lambda: self.status() == (1, 0))
        self.go_on(OPEN)
        other.release(self.answered(other))
        self.all_closed()

    def test_answer_is_lost_while_opening(self) -> None:
        """The same request on another connection: one lease of the two."""
        self.hold(OPEN)
        first, second = self.client(), self.client()
        self.ask(first, nonce=77)
        self.waits(first)
        first.close()
        self.ask(second, nonce=77)
        self.waits(second)
        self.go_on(OPEN)
        lease = self.answered(second)
        self.assertEqual([each.id for each in second.leases()], [lease.id])
        # Once more, with the lease there: it is closed and opened for it.
        third = self.client()
        second.close()
        self.ask(third, nonce=77)
        again = self.answered(third)
        self.assertEqual(again.id, lease.id)
        self.assertEqual(len(third.leases()), 1)
        third.release(again)
        self.all_closed()

    def test_goes_while_opening(self) -> None:
        """Who waited hears of it at once; what is opened afterwards is closed."""
        for is_unplugged in (True, False):
            self.hold(OPEN)
            client = self.client()
            self.ask(client)
            self.waits(client)
            function = self.machine.functions[VFIO]
            if is_unplugged:
                self.machine.unplug(VFIO)
            else:
                self.machine.bind(VFIO, driver="")
            self.denied(client, errno.ENODEV)
            self.serves()
            if is_unplugged:
                self.machine.plug(function)
            else:
                self.machine.bind(VFIO, driver="vfio-pci")
            self.until(lambda c=client: any(VFIO.encode() in raw for raw in
                                            c.list(wire.PROVIDERS)))
            self.ask(client)
            self.waits(client)
            self.go_on(OPEN)
            client.release(self.answered(client))
            self.all_closed()

    def test_goes_while_closing(self) -> None:
        """And comes back: it is closed before it is opened again."""
        client = self.client()
        lease = client.acquire(BAR, VFIO)
        self.hold(CLOSE)
        client.release(lease)
        self.machine.bind(VFIO, driver="")
        self.until(lambda: not any(VFIO.encode() in raw for raw in client.list(wire.PROVIDERS)))
        self.machine.bind(VFIO, driver="vfio-pci")
        self.until(lambda: any(VFIO.encode() in raw for raw in client.list(wire.PROVIDERS)))
        self.ask(client)
        self.waits(client)
        self.go_on(CLOSE)
        client.release(self.answered(client))
        self.all_closed()

    def test_another_driver_while_leased(self) -> None:
        """Its leases are asked for, and end at the deadline; then it is closed, and goes."""
        client = self.client()
        lease = client.acquire(BAR, VFIO)
        self.machine.bind(VFIO, driver="")
        for opcode in (wire.EVENT_REVOKE_REQUESTED, wire.EVENT_REVOKED):
            event = client.event(opcode)
            self.assertEqual((event.lease_id, event.reason), (lease.id, REMOVAL))
        os.close(lease.fd)
        self.all_closed()
        self.until(lambda: not any(VFIO.encode() in raw for raw in client.list(wire.PROVIDERS)))
        self.machine.bind(VFIO, driver="vfio-pci")
        self.until(lambda: any(VFIO.encode() in raw for raw in client.list(wire.PROVIDERS)))
        client.release(client.acquire(BAR, VFIO))
        self.all_closed()

    def test_policy_changes_while_opening(self) -> None:
        """That of the grant decides."""
        self.hold(OPEN)
        client = self.client()
        self.ask(client)
        self.waits(client)
        self.daemon.config.write_text("[daemon]\n[rule nobody]\nallow = no\n", encoding="ascii")
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: "policy loaded, number 2" in self.daemon.text())
        self.go_on(OPEN)
        self.denied(client, errno.EACCES)
        self.all_closed()

    def test_limit_counts_what_is_there(self) -> None:
        """What was given back and isn't closed yet is waited for, not held against its user."""
        self.daemon.config.write_text(
            p2pd_run.DEFAULT_POLICY + "max-leases = 1\n", encoding="ascii")
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: "policy loaded, number 2" in self.daemon.text())
        client = self.client()
        for _ in range(5):
            lease = client.acquire(4096, VFIO)
            self.refused(errno.EDQUOT, client.acquire, 4096, OTHER)
            client.release(lease)
            other = client.acquire(4096, OTHER)
            client.release(other)
        self.all_closed()

    def test_killed_while_opening(self) -> None:
        """Nothing of it is left, and the next p2pd opens it."""
        self.hold(OPEN)
        client = self.client()
        self.ask(client)
        self.waits(client)
        self.daemon.kill()
        self.hung_up(client)
        self.go_on(OPEN)
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertEqual(client.leases(), [])
        self.all_closed()
        client.release(client.acquire(BAR, VFIO))
        self.all_closed()

    def test_killed_while_closing(self) -> None:
        """The lease ends with the next p2pd, and its slice is free."""
        for what in (CLOSE, None):
            client = self.daemon.reconnect()
            self.opened.append(client)
            leases = [client.acquire(4096, VFIO) for _ in range(2)]
            if what:
                self.hold(what)
            for lease in leases:
                client.release(lease)
            self.daemon.kill()
            self.hung_up(client)
            if what:
                self.go_on(what)
            client = self.daemon.reconnect()
            self.opened.append(client)
            self.until(lambda c=client: not c.leases())
            client.release(client.acquire(BAR, VFIO))
            self.all_closed()

    def test_killed_while_leased(self) -> None:
        """The lease goes on, with what was kept; other functions can be opened beside it."""
        client = self.client()
        lease = client.acquire(BAR, VFIO)
        for _ in range(5):
            self.daemon.kill()
            client = self.daemon.reconnect()
            self.opened.append(client)
            self.assertEqual(client.attach(lease).state, wire.ACTIVE)
            self.assertEqual(self.nr_open(), 1)
        other = client.acquire(BAR, OTHER)
        self.assertEqual(self.nr_open(), 2)
        client.release(lease)
        self.until(lambda: self.nr_open() == 1)
        client.release(other)
        self.all_closed()

    def test_ends_while_opening(self) -> None:
        """At once; who waited is hung up on."""
        self.hold(OPEN)
        client = self.client()
        self.ask(client)
        self.waits(client)
        begin = time.monotonic()
        os.kill(self.first_pid, signal.SIGTERM)
        self.hung_up(client)
        self.assertEqual(self.daemon.process.wait(10), 0)
        self.assertLess(time.monotonic() - begin, 4.0)

    def test_ends_while_closing(self) -> None:
        """It is waited for, for a moment."""
        client = self.client()
        lease = client.acquire(BAR, VFIO)
        self.hold(CLOSE)
        client.release(lease)
        os.kill(self.first_pid, signal.SIGTERM)
        time.sleep(0.5)
        self.assertIsNone(self.daemon.process.poll())
        self.go_on(CLOSE)
        self.assertEqual(self.daemon.process.wait(10), 0)


class Alone(VfioCase):
    """Without anybody who keeps descriptors."""

    KEEPER = False

    def test_ends_leases(self) -> None:
        """They are told, after the function has been closed."""
        client = self.client()
        lease = client.acquire(BAR, VFIO)
        self.assertIn("isn't kept (EOPNOTSUPP)", self.daemon.text())
        self.hold(CLOSE)
        self.daemon.process.terminate()
        self.waits(client)
        self.go_on(CLOSE)
        event = client.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, SHUTDOWN))
        self.assertEqual(self.daemon.process.wait(10), 0)


if __name__ == "__main__":
    fake_machine.enter()
    daemon_case.main()
