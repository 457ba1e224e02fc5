#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What p2pctl takes, what --help says, the manual page and bash's completion: all the same.

--help of a command is made from the table by which its options are parsed, so it is what the
others are compared with.
"""

import re
import subprocess
import unittest
from pathlib import Path

import cli_case

SOURCE = Path(__file__).resolve().parents[2]
COMMON = {"json", "no-headings", "bytes", "timeout", "help"}
# Whose options the manual page describes elsewhere, and which of those the command hasn't.
REFERS = {"bench": ("acquire", {"revoke-signal"})}


def run(*arguments: str) -> str:
    done = subprocess.run([cli_case.program(), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", timeout=60, check=False)
    if done.returncode or done.stderr:
        raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def commands() -> list[str]:
    part = run("--help").split("commands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z]+) ", part, re.M)


def options(*command: str) -> set[str]:
    return set(re.findall(r"^  (?:-\w, |    )--([a-z-]+)", run(*command, "--help"), re.M))


def man() -> dict[str, str]:
    """Each command's part of the manual page, and what is before them."""
    text = (SOURCE / "man/p2pctl.1").read_text(encoding="utf-8")
    text = text.split(".Sh ENVIRONMENT")[0]
    first, *rest = re.split(r"^\.It Cm ", text, flags=re.M)
    parts = {"": first.split(".Sh COMMANDS")[0]}
    parts.update({part.split(maxsplit=1)[0]: part for part in rest})
    return parts


def flags(part: str) -> set[str]:
    return set(re.findall(r"\bFl -([a-z-]+)", part))


def completed(*words: str) -> list[str]:
    script = ('. "$1"; shift; COMP_WORDS=(p2pctl "$@"); COMP_CWORD=$#; _p2pctl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script, "bash",
                           str(SOURCE / "cli/completion/p2pctl"), *words],
                          env={"PATH": "/usr/bin:/bin", "P2PDMA_SOCKET": "/nonexistent"},
                          stdout=subprocess.PIPE, encoding="utf-8", timeout=60, check=True)
    return done.stdout.split()


class Help(unittest.TestCase):
    def test_all_commands_are_everywhere(self) -> None:
        found = commands()
        self.assertEqual(len(found), len(set(found)))
        self.assertIn("doctor", found)
        self.assertEqual({name for name in man() if name}, set(found))
        self.assertEqual([word for word in completed("") if not word.startswith("-")], found)

    def test_common_options_are_everywhere(self) -> None:
        self.assertEqual(options(), COMMON | {"version"})
        self.assertEqual(flags(man()[""]), COMMON | {"version"})
        self.assertEqual({word[2:] for word in completed("--")}, COMMON | {"version"})
        for command in commands():
            self.assertLessEqual(COMMON, options(command), command)

    def test_manual_page_has_every_option(self) -> None:
        parts = man()
        for command in commands():
            wanted = options(command) - COMMON
            other, but = REFERS.get(command, ("", set()))
            described = flags(parts[command]) - COMMON
            if other:
                self.assertRegex(parts[command], rf"those of\s+\.Cm {other}")
                described |= flags(parts[other]) - but
            self.assertEqual(described, wanted, command)

    def test_completion_has_every_option(self) -> None:
        for command in commands():
            words = (command, "test", "--") if command == "policy" else (command, "--")
            self.assertEqual({word[2:] for word in completed(*words)}, options(command), command)

    def test_every_option_is_explained(self) -> None:
        for command in ("", *commands()):
            text = run(*filter(None, [command]), "--help")
            self.assertIn(f"usage: p2pctl {command}".rstrip(), text)
            for line in text.splitlines():
                self.assertLessEqual(len(line), 100, line)
                self.assertFalse(re.match(r"  (-\w, |    )--\S+( [A-Z:]+)?( *|  +\?)$", line), line)

    def test_argument_is_named_where_one_is_taken(self) -> None:
        for command in commands():
            for line in run(command, "--help").splitlines():
                found = re.match(r"  (?:-\w, |    )--([a-z-]+) ([A-Z:]+)?", line)
                if not found or found[1] == "help":
                    continue
                # What comes behind it is wrong in any case: nothing is done.
                done = subprocess.run([cli_case.program(), command, f"--{found[1]}=1",
                                       "--nonsense"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                      env={"P2PDMA_SOCKET": "/nonexistent"},
                                      encoding="utf-8", timeout=60, check=False)
                self.assertEqual(done.returncode, 2, (command, line))
                self.assertEqual("doesn't allow an argument" in done.stderr, not found[2],
                                 (command, line))


if __name__ == "__main__":
    cli_case.main()
