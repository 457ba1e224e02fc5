# SPDX-License-Identifier: MIT
"""What the guest's kernel log must not say."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Each of these fails a run, whatever the test cases said.
BAD = tuple(re.compile(pattern) for pattern in (
    r"Kernel panic",
    r"^(\[[^]]*\] )?WARNING: ",
    r"\bBUG: ",
    r"kernel BUG at",
    r"\bOops: ",
    r"general protection fault",
    r"KASAN:",
    r"KFENCE:",
    r"UBSAN:",
    r"possible circular locking",
    r"possible recursive locking",
    r"possible irq lock inversion",
    r"inconsistent lock state",
    r"suspicious RCU usage",
    r"INFO: possible",
    r"INFO: rcu\w* (self-)?detected",
    r"rcu: INFO:",
    r"bad unlock balance",
    r"held lock freed",
    r"DMA-API: (?!preallocated|debugging enabled|dma_debug_entry|cacheline tracking ENOMEM)",
    r"scheduling while atomic",
    r"sleeping function called",
    r"INFO: task .* blocked for more than",
    r"soft lockup",
    r"hard LOCKUP",
    r"unregister_netdevice: waiting",
    r"refcount_t: ",
    r"list_(add|del) corruption",
    r"Slab corruption|Object already free|Poison overwritten|Redzone overwritten",
    r"kmem_cache_destroy .* Slab cache still has objects",
    r"DMAR: \[.*fault",
    r"DMAR: DRHD: handling fault",
    r"unchecked MSR access",
    r"possible memory leak|new suspected memory leaks",
    r"Out of memory|invoked oom-killer",
    r"segfault at",
    r"trap invalid opcode",
    r"Modules linked in:",
))

# Lines that look bad and are not: told here with the reason.
HARMLESS = tuple(re.compile(pattern) for pattern in (
    # Emulated CPUs lack mitigations or MSRs that the kernel asks for at boot.
    r"unchecked MSR access error: (RDMSR|WRMSR).*native_",
))

# Whole warnings that are known, by a line of theirs and by who caused it.
KNOWN_BLOCKS = tuple((re.compile(line), re.compile(cause)) for line, cause in (
    # soft-RoCE imports for a virtio card, whose driver never said how long a segment it
    # takes: 64 KiB then. Nothing ever reaches the card: it is soft-RoCE that uses the memory.
    (r"DMA-API: virtio-pci .* mapping sg segment longer than device claims",
     r"(map_udmabuf|system_heap_map_dma_buf|drm_gem_map_dma_buf)"),
    # DMA debugging counts to seven mappings of one byte; a BAR may be registered more often.
    (r"DMA-API: exceeded 7 overlapping mappings", r"dma_buf_phys_vec_to_sgt"),
    # pciehp takes its own reset lock and the rescan lock in both orders, whatever is unplugged.
    (r"possible circular locking dependency", r"pciehp_unconfigure_device\+"),
))
# A warning's first and last line; lockdep has its own.
BLOCKS = (("------------[ cut here ]------------", "---[ end trace"),
          ("WARNING: possible circular locking", "stack backtrace:"))
# A cycle of locks that one of ours is part of is never known.
OURS = re.compile(r"\b(p2pe_|p2pdma_edu|rxe_dmabuf)")


@dataclass
class Finding:
    """One bad line of the kernel log."""

    number: int
    text: str


def _is_known(block: list[str]) -> bool:
    is_lockdep = BLOCKS[1][0] in block[0]
    if is_lockdep and any(OURS.search(text) for text in block):
        return False
    return any(any(what.search(text) for text in block)
               and any(cause.search(text) for text in block)
               for what, cause in KNOWN_BLOCKS)


def _known(lines: list[str]) -> set[int]:
    """The numbers of the lines of all known warnings."""
    numbers: set[int] = set()
    for first, last in BLOCKS:
        begin = None
        for number, line in enumerate(lines, 1):
            if first in line:
                begin = number
            elif last in line and begin is not None:
                if _is_known(lines[begin - 1:number]):
                    numbers.update(range(begin, number + 1))
                begin = None
    return numbers


def check(log: str, allowed: list[str]) -> list[Finding]:
    """The bad lines of a kernel log; @allowed are patterns a scenario expects."""
    expected = [re.compile(p) for p in allowed]
    lines = log.splitlines()
    known = _known(lines)
    found = []
    for number, line in enumerate(lines, 1):
        if number in known or not any(p.search(line) for p in BAD):
            continue
        if any(p.search(line) for p in (*HARMLESS, *expected)):
            continue
        found.append(Finding(number, line.strip()))
    return found
