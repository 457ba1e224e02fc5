# SPDX-License-Identifier: MIT
"""What a guest reported, judged: cases, figures, rows, and why a run failed."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import console
from .base import write_atomically
from .qemu import Outcome
from .scenario import Scenario

TAIL_LINES = 40


@dataclass
class Case:
    """One test case."""

    name: str
    result: str
    detail: list[str] = field(default_factory=list)


@dataclass
class Result:
    """One scenario's run."""

    scenario: str
    title: str
    cases: list[Case]
    figures: list[tuple[str, float, str]]
    rows: list[dict[str, str]]
    wall_s: float
    boot_s: float
    kernel: str
    full_log: bool = False

    def count(self, result: str) -> int:
        """How many cases ended as @result."""
        return sum(case.result == result for case in self.cases)

    @property
    def passed(self) -> bool:
        """Nothing failed, and there was something to fail."""
        return self.count("failed") == 0


def _read_lines(lines: list[str], result: Result) -> bool:
    """Fill @result from the port's lines; was the end marker there?"""
    ended = False
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "boot":
            result.boot_s = float(rest or 0)
        elif word == "ok":
            result.cases.append(Case(rest, "passed"))
        elif line.startswith("not ok "):
            result.cases.append(Case(line.removeprefix("not ok "), "failed"))
        elif word == "skip":
            name, _, reason = rest.partition(" # ")
            result.cases.append(Case(name, "skipped", [reason]))
        elif word == "figure":
            _read_figure(rest, result)
        elif word == "row":
            result.rows.append(dict(re.findall(r"(\w+)=(\S*)", rest)))
        elif word == "|" and result.cases and result.cases[-1].result == "failed":
            result.cases[-1].detail.append(rest)
        elif word == "end":
            ended = True
    return ended


def _read_figure(text: str, result: Result) -> None:
    parts = text.split()
    try:
        result.figures.append((parts[0], float(parts[1]), parts[2]))
    except (IndexError, ValueError):
        result.cases.append(Case(f"figure '{text}' is a key, a number and a unit", "failed"))


def _qemu_said(text: str) -> list[str]:
    """What QEMU complained about, without its warnings and register dumps."""
    lines = [line for line in text.splitlines() if "warning:" not in line]
    return [f"QEMU: {line}" for line in lines[:5]]


def judge(scenario: Scenario, outcome: Outcome, kernel: str) -> Result:
    """Turn what happened into cases; the run itself is one of them."""
    result = Result(scenario.title, scenario.values["title"], [], [], [], outcome.wall_s, 0.0,
                    kernel)
    ended = _read_lines(outcome.lines, result)
    if not result.cases and ended:
        result.cases.append(Case("the scenario has test cases", "failed"))
    log_tail = outcome.console.splitlines()[-TAIL_LINES:]
    if outcome.timed_out:
        last = [line for line in outcome.lines[-6:]]
        result.cases.append(Case(f"the guest ends within {scenario.values['timeout']} s", "failed",
                                 ["last lines from the guest:", *last,
                                  "last lines of its console:", *log_tail]))
    elif not ended:
        result.cases.append(Case("the guest reaches its end marker", "failed",
                                 [*_qemu_said(outcome.qemu_errors), "last lines of the console:",
                                  *log_tail]))
    findings = console.check(outcome.console, scenario.lists["allow"])
    if findings:
        result.full_log = True
        result.cases.append(Case("the kernel log is clean", "failed",
                                 [f"line {f.number}: {f.text}" for f in findings]))
    else:
        result.cases.append(Case("the kernel log is clean", "passed"))
    return result


def merged(found: list[Result]) -> Result:
    """The results of one scenario's guests as one; of two, each case says whose it is."""
    first = found[0]
    if len(found) == 1:
        return first
    cases = [Case(f"peer {peer}: {case.name}", case.result, case.detail)
             for peer, result in enumerate(found) for case in result.cases]
    return Result(first.scenario, first.title, cases, [f for r in found for f in r.figures],
                  [row for r in found for row in r.rows], max(r.wall_s for r in found),
                  max(r.boot_s for r in found), first.kernel, any(r.full_log for r in found))


def write_json(path: Path, results: list[Result]) -> None:
    """All results as one JSON document."""
    document = {
        "passed": sum(r.count("passed") for r in results),
        "failed": sum(r.count("failed") for r in results),
        "skipped": sum(r.count("skipped") for r in results),
        "scenarios": [asdict(r) for r in results],
    }
    write_atomically(path, json.dumps(document, indent=1) + "\n")
