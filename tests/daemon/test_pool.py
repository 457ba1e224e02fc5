#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pools of p2pmem: leased as a whole to one at a time, who has to let go by himself. What is free of a pool
is a file here, which the test writes as the kernel would."""

import errno
import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import daemon_case
import fake_machine
import p2pd_wire as wire
from fake_machine import Function

EXPORTER, NVME, GPU = (f"0000:{bus}:00.0" for bus in ("01", "42", "43"))
SIZE, FREE = 16 << 20, (16 << 20) - 131072
UNREVOCABLE = 2
HOLDER, ADMIN, GONE, REMOVAL = 1, 4, 8, 7
FORCE_NONE = 0

POLICY = """
[daemon]
reattach-time = 5s
revoke-deadline = 300ms
p2pmem-driver-bytes = 128K

[rule everybody]
allow = yes
unrevocable = yes
"""


def can_be_others() -> bool:
    """Are there other users in here?"""
    with open("/proc/self/uid_map", encoding="ascii") as handle:
        return int(handle.read().split()[2]) > 4711


class PoolCase(daemon_case.DaemonCase):
    """A drive with a memory buffer."""

    POLICY = POLICY

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix="p2pd-nodes-")
        self.addCleanup(folder.cleanup)
        self.machine = fake_machine.Machine(Path(folder.name), fake_machine.KERNEL)
        self.addCleanup(self.machine.end)
        for function in (Function(EXPORTER, "p2pdma_export", {2: 64 << 20}),
                         Function(NVME, "nvme", {0: 16384}, p2pmem=SIZE),
                         Function(GPU, "amdgpu", {0: 16 << 30}, vram=1 << 30, p2pmem=SIZE)):
            self.machine.plug(function, is_told=False)
        self.pool = self.machine.folder(self.machine.functions[NVME]) / "p2pmem"
        self.publish()
        self.OPTIONS = {"program": "p2pd-discovery",
                        "environment": {"P2PD_FAKE_NODES": folder.name}}
        super().setUp()
        self.daemon.root.chmod(0o755)

    def publish(self) -> None:
        """As the driver does when it binds."""
        (self.pool / "published").write_text("1\n", encoding="ascii")
        self.set_free(FREE)
        with open(self.pool / "allocate", "wb") as handle:
            handle.truncate(SIZE)

    def set_free(self, size: int) -> None:
        """What the kernel says."""
        new = self.pool / "new"
        new.write_text(f"{size}\n", encoding="ascii")
        new.rename(self.pool / "available")

    def lease(self, client: wire.Client, length: int = 4096, nonce: int = 0) -> wire.Lease:
        """Of the pool; its descriptor is the file."""
        lease = client.acquire(length, f"{NVME}/p2pmem", flags=UNREVOCABLE, nonce=nonce)
        self.assertEqual(os.fstat(lease.fd).st_ino, (self.pool / "allocate").stat().st_ino)
        return lease

    def states(self) -> list[int]:
        """Of all leases."""
        client = self.daemon.client()
        found = [lease.state for lease in client.leases()]
        client.close()
        return found


class Pool(PoolCase):
    """Of those who may."""

    def test_whole_for_one(self) -> None:
        """Whoever gets the descriptor can have any amount, so nobody else gets it, and he knows."""
        alice, bob = self.client(), self.client()
        selector = f"{NVME}/p2pmem"
        self.assertIn("can't be taken back", self.refused(errno.EOPNOTSUPP, alice.acquire, 4096,
                                                          selector))
        self.assertIn("exclusively", self.refused(errno.EOPNOTSUPP, alice.acquire, 4096, selector,
                                                  mode=wire.SHARED, flags=UNREVOCABLE))
        self.refused(errno.EOPNOTSUPP, alice.acquire, SIZE + 4096, selector, flags=UNREVOCABLE)
        self.refused(errno.EOPNOTSUPP, alice.acquire, 4096, f"{GPU}/vram", flags=UNREVOCABLE)
        # This one's file isn't there.
        self.assertIn("p2pmem/allocate", self.refused(errno.EOPNOTSUPP, alice.acquire, 4096,
                                                      f"{GPU}/p2pmem", flags=UNREVOCABLE))
        lease = self.lease(alice)
        self.assertEqual((lease.size, lease.offset, lease.force), (SIZE, 0, FORCE_NONE))
        self.assertIn("held by somebody else",
                      self.refused(errno.EBUSY, bob.acquire, 4096, selector, flags=UNREVOCABLE))
        alice.release(lease)
        bob.release(self.lease(bob))

    def test_any_device_is_no_pool(self) -> None:
        """Who doesn't mind which device wants a DMABUF, also where only a pool has room."""
        client = self.client()
        whole = client.acquire(64 << 20, f"{EXPORTER}/2")
        self.assertIn("no room", self.refused(errno.EBUSY, client.acquire, 4096, "*",
                                              flags=UNREVOCABLE))
        client.release(whole)

    def test_ends_when_all_is_back(self) -> None:
        """A lease that is over lasts until the pool is as free as it was; nobody gets it before."""
        alice, bob = self.client(), self.client()
        lease = self.lease(alice)
        self.set_free(FREE - 65536)
        os.close(lease.fd)
        alice.call(wire.RELEASE, lease.id.to_bytes(8, "little"))
        time.sleep(0.3)
        self.assertEqual(len(self.states()), 1)
        self.refused(errno.EBUSY, bob.acquire, 4096, f"{NVME}/p2pmem", flags=UNREVOCABLE)
        self.set_free(FREE)
        self.until(lambda: not self.states())
        bob.release(self.lease(bob))

    def listed(self, uid: int = 0) -> tuple[int, str]:
        """Flags and cause of the pool, as this user is told."""
        with daemon_case.user(uid):
            client = self.daemon.client()
        raw = client.list(wire.PROVIDERS, f"{NVME}/p2pmem")[0]
        client.close()
        values = wire.S_PROVIDER.unpack(raw[:wire.S_PROVIDER.size])
        return values[5], wire.text(values[2])

    def test_somebody_has_some(self) -> None:
        """From before, as when the journal was lost: nobody gets a pool that others have memory of."""
        client = self.client()
        self.set_free(FREE - 65536)
        self.assertIn(f"{131072 + 65536} of its {SIZE} bytes are out, and p2pmem-driver-bytes lets "
                      "its driver have 131072", self.refused(
                          errno.EBUSY, client.acquire, 4096, f"{NVME}/p2pmem", flags=UNREVOCABLE))
        self.set_free(FREE)
        client.release(self.lease(client))

    def test_driver_keeps_more(self) -> None:
        """It shows how much is out, and an administrator can say that that is the driver's."""
        client = self.client()
        lease = self.lease(client)
        self.set_free(FREE - 8192)
        client.release(lease)
        self.assertEqual(len(self.states()), 1)
        flags, cause = self.listed()
        self.assertTrue(flags & 2)
        self.assertIn(f"lease {lease.id} of user {os.getuid()} is over, and {131072 + 8192} of "
                      f"{SIZE} bytes are still out", cause)
        self.assertIn(cause, self.daemon.text())
        if can_be_others():
            flags, cause = self.listed(4711)
            self.assertTrue(flags & 2)
            self.assertIn("a lease is over", cause)
            self.assertIsNone(re.search("[0-9]", cause), cause)
        self.daemon.config.write_text(POLICY.replace("128K", "136K"), encoding="ascii")
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: not self.states())
        self.assertEqual(self.listed(), (0, ""))
        client.release(self.lease(client))

    def test_revoked_by_request_alone(self) -> None:
        """An administrator's revocation is told, and waits for the holder beyond its deadline."""
        alice, admin = self.client(), self.client()
        lease = self.lease(alice)
        self.set_free(FREE - 65536)
        admin.revoke(wire.SCOPE_LEASE, lease.id, deadline_ms=200)
        event = alice.event(wire.EVENT_REVOKE_REQUESTED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, ADMIN))
        time.sleep(0.5)
        self.assertEqual(len(self.states()), 1)
        alice.ack(lease)
        self.set_free(FREE)
        self.assertEqual(alice.event(wire.EVENT_REVOKED).lease_id, lease.id)
        os.close(lease.fd)

    def test_driver_leaves(self) -> None:
        """What is mapped ends by the kernel, and the lease with it."""
        client = self.client()
        lease = self.lease(client)
        self.set_free(FREE - 65536)
        self.machine.bind(NVME, driver="")
        event = client.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, REMOVAL))
        os.close(lease.fd)
        self.refused(errno.ENODEV, client.acquire, 4096, f"{NVME}/p2pmem", flags=UNREVOCABLE)

    def test_driver_comes_back_unseen(self) -> None:
        """The pool that is there then is another one."""
        client = self.client()
        lease = self.lease(client)
        old = self.pool.rename(self.pool.parent / "old")
        self.pool.mkdir()
        (self.pool / "size").write_text(f"{SIZE}\n", encoding="ascii")
        self.publish()
        self.machine.tell(self.machine.functions[NVME], "bind")
        event = client.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, REMOVAL))
        os.close(lease.fd)
        client.release(self.lease(client))
        shutil.rmtree(old)

    def test_across_a_restart(self) -> None:
        """The next p2pd knows how much has to be free."""
        client = self.client()
        lease = self.lease(client)
        self.set_free(FREE - 65536)
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertEqual(client.attach(lease).id, lease.id)
        os.close(lease.fd)
        client.call(wire.RELEASE, lease.id.to_bytes(8, "little"))
        time.sleep(0.3)
        self.assertEqual(len(self.states()), 1)
        self.set_free(FREE)
        self.until(lambda: not self.states())
        client.release(self.lease(client))

    def test_answer_was_lost(self) -> None:
        """The same request again gets the same lease, and its descriptor."""
        client = self.client()
        lease = self.lease(client, nonce=77)
        os.close(lease.fd)
        again = self.lease(client, nonce=77)
        self.assertEqual(again.id, lease.id)
        client.release(again)


class Denied(PoolCase):
    """Whom policy doesn't let have what can't be taken back."""

    POLICY = POLICY.replace("unrevocable = yes\n", "")

    def test_policy_says_no(self) -> None:
        """The rule has to say so."""
        client = self.client()
        self.refused(errno.EACCES, client.acquire, 4096, f"{NVME}/p2pmem", flags=UNREVOCABLE)


class Limited(PoolCase):
    """Who may have less than the pool."""

    POLICY = POLICY + "max-bytes = 8M\n"

    def test_counts_as_all(self) -> None:
        """A lease counts for what its holder could take, not for what he says."""
        client = self.client()
        self.refused(errno.EDQUOT, client.acquire, 4096, f"{NVME}/p2pmem", flags=UNREVOCABLE)


if __name__ == "__main__":
    fake_machine.enter(has_users=True)
    daemon_case.main()
