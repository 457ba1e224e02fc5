#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may publish under which names, and what becomes of it when policy changes."""

from __future__ import annotations

import errno
import os
import signal
import time

import daemon_case
import p2pd_wire as wire
import test_publish

BEGIN = daemon_case.p2pd_run.DEFAULT_POLICY + """
[rule not-this]
user = 12345
publish = gpu-root
allow = no

[rule gpus]
user = 12345
publish = gpu-*
allow = yes
"""
REASON_POLICY = 6


class Publishers(daemon_case.DaemonCase):
    """By rule; root where none says no."""

    POLICY = BEGIN
    OPTIONS = {"environment": {"P2PD_EMULATED_DMABUF": test_publish.WORD}}

    def load(self, text: str) -> None:
        """Another policy, and the time it takes."""
        count = self.daemon.text().count("policy loaded")
        self.daemon.config.write_text(text, encoding="utf-8")
        os.kill(self.daemon.pid(), signal.SIGHUP)
        self.until(lambda: self.daemon.text().count("policy loaded") > count)

    def names(self) -> list[str]:
        """What is published."""
        client = self.daemon.client()
        reply, _ = client.call(wire.PROVIDERS, wire.S_LIST.pack(0, b"published:*", 0, 0))
        client.close()
        count, size = wire.S_LIST_REPLY.unpack_from(reply)[1:3]
        return [wire.text(reply[16 + i * size:16 + i * size + 64]) for i in range(count)]

    def ask(self, client: wire.Client, name: str) -> str:
        """A refusal that needs no descriptor to be told."""
        body = wire.S_PUBLISH.pack(name.encode(), 2, 3, wire.ALL_USERS, wire.ALL_USERS)
        return self.refused(errno.EACCES, client.call, wire.PUBLISH, body)

    def test_by_name(self) -> None:
        """Some of one's own, none of others': not even while nobody has it."""
        dmabuf = test_publish.make_dmabuf()

        def run() -> None:
            client = self.daemon.client(5)
            assert "rule not-this" in self.ask(client, "gpu-root")
            assert 'no rule lets user 12345 publish "db"' in self.ask(client, "db")
            for name in ("db", "gpu-root", "xgpu-1"):
                self.refused(errno.EACCES, test_publish.publish, client, name, dmabuf)
            test_publish.publish(client, "gpu-1", dmabuf)
            assert self.names() == ["gpu-1"]
        self.as_user(12345, run)
        self.until(lambda: not self.names())
        owner = self.client()
        test_publish.publish(owner, "gpu-root", dmabuf)
        self.assertEqual(self.names(), ["gpu-root"])
        os.close(dmabuf)
        owner.close()

    def test_nobody_else(self) -> None:
        """Whom no rule lets publish anything is told so, and brings no descriptor in."""
        dmabuf = test_publish.make_dmabuf()

        def run() -> None:
            client = self.daemon.client(5)
            assert "no rule lets" in self.ask(client, "gpu-1")
            try:
                cause = self.refused(errno.EACCES, test_publish.publish, client, "gpu-1", dmabuf)
                assert "no rule lets" in cause
                # A kernel that lets it come as far as p2pd, which ends the connection.
                self.hung_up(client, 5)
            except PermissionError:
                client.call(wire.STATUS)
            # What leases are allowed is another matter.
            client = self.daemon.client(5)
            client.release(client.acquire())
        self.as_user(54321, run)
        os.close(dmabuf)
        self.is_clean()

    def test_reload_forbids(self) -> None:
        """Nobody gets it any more, who has it has the time to let go, and then it is over."""
        owner, holder, late = self.client(), self.client(), self.client()
        dmabuf = test_publish.make_dmabuf()
        for name in ("goes", "stays", "idle"):
            test_publish.publish(owner, name, dmabuf)
        lease = holder.acquire(test_publish.SIZE, "published:goes", wire.SHARED)
        kept = holder.acquire(test_publish.SIZE, "published:stays", wire.SHARED)
        self.load(BEGIN + "[rule none]\npublish = goes, idle\nallow = no\n")
        event = holder.event(wire.EVENT_REVOKE_REQUESTED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, REASON_POLICY))
        self.refused(errno.EACCES, late.acquire, test_publish.SIZE, "published:goes", wire.SHARED)
        self.assertEqual(sorted(self.names()), ["goes", "stays"])
        event = holder.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, REASON_POLICY))
        self.until(lambda: self.names() == ["stays"])
        self.assertIn("rule none", self.refused(errno.EACCES, test_publish.publish, owner, "goes",
                                                dmabuf))
        self.assertEqual([each.id for each in holder.leases()], [kept.id])
        holder.release(kept)
        os.close(lease.fd)
        os.close(dmabuf)

    def test_reload_forbids_and_allows(self) -> None:
        """In time: nothing ended, and it is leased again."""
        owner, holder = self.client(), self.client()
        dmabuf = test_publish.make_dmabuf()
        slow = BEGIN.replace("revoke-deadline = 500ms", "revoke-deadline = 20s")
        test_publish.publish(owner, "back", dmabuf)
        lease = holder.acquire(test_publish.SIZE, "published:back", wire.SHARED)
        self.load(slow + "[rule none]\npublish = back\nallow = no\n")
        self.assertEqual(holder.event(wire.EVENT_REVOKE_REQUESTED).reason, REASON_POLICY)
        self.load(slow)
        again = self.client().acquire(test_publish.SIZE, "published:back", wire.SHARED)
        os.close(again.fd)
        holder.release(lease)
        time.sleep(0.1)
        self.assertEqual(self.names(), ["back"])
        os.close(dmabuf)

    def test_reload_forbids_whose_publisher_is_lost(self) -> None:
        """Nobody is there to be told, or to be given back."""
        owner = self.client()
        dmabuf = test_publish.make_dmabuf()
        test_publish.publish(owner, "lost", dmabuf)
        owner.close()
        self.until(lambda: self.status()[0] == 0)
        self.assertEqual(self.names(), ["lost"])
        self.load(BEGIN + "[rule none]\npublish = lost\nallow = no\n")
        self.until(lambda: not self.names())
        os.close(dmabuf)
        self.is_clean()

    def test_first_rule_by_cgroup(self) -> None:
        """It judges where the publishers are that are there, too."""
        with open("/proc/self/cgroup", encoding="ascii") as handle:
            if not any(line.startswith("0::/") for line in handle):
                self.skipTest("no unified hierarchy here")
        if os.getuid() != 0:
            self.skipTest("only root can be another user")
        self.daemon.root.chmod(0o755)
        ready_read, ready_write = os.pipe()

        def run() -> None:
            client = self.daemon.client(5)
            test_publish.publish(client, "gpu-1", test_publish.make_dmabuf())
            os.write(ready_write, b"x")
            time.sleep(60)
        self.fork(run, 12345)
        os.read(ready_read, 1)
        self.load(BEGIN.replace("[rule gpus]", "[rule gpus]\ncgroup = /**"))
        time.sleep(1)
        self.assertEqual(self.names(), ["gpu-1"])
        self.load(BEGIN.replace("[rule gpus]", "[rule gpus]\ncgroup = /nowhere"))
        self.until(lambda: not self.names())
        os.close(ready_read)
        os.close(ready_write)

    def test_reload_reaches_connections(self) -> None:
        """Who is there already may publish from then on, or may not any more."""
        dmabuf = test_publish.make_dmabuf()
        allowed_read, allowed_write = os.pipe()
        done_read, done_write = os.pipe()

        def run() -> None:
            client = self.daemon.client(5)
            self.ask(client, "new")
            os.write(done_write, b"x")
            os.read(allowed_read, 1)
            test_publish.publish(client, "new", dmabuf)
            os.write(done_write, b"x")
            os.read(allowed_read, 1)
            self.ask(client, "new")
        if os.getuid() != 0:
            self.skipTest("only root can be another user")
        self.daemon.root.chmod(0o755)
        child = self.fork(run, 54321)
        os.read(done_read, 1)
        self.load(BEGIN + "[rule more]\npublish = new\nallow = yes\n")
        os.write(allowed_write, b"x")
        os.read(done_read, 1)
        self.load(BEGIN)
        os.write(allowed_write, b"x")
        self.ends(child)
        for fd in (allowed_read, allowed_write, done_read, done_write, dmabuf):
            os.close(fd)
        self.until(lambda: not self.names())
        self.is_clean()


if __name__ == "__main__":
    daemon_case.main()
