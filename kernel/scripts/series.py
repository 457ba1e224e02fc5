# SPDX-License-Identifier: MIT
"""The kernel patch series, made of this tree's sources.

Pure text work: neither git nor a kernel tree is needed. What the series
consists of is written in kernel/patches-src/series.toml; there, too, is what
of a source must read differently inside of the kernel tree.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SOURCES = REPO / "kernel" / "patches-src"
PATCHES = REPO / "kernel" / "patches"
NULL_COMMIT = "0" * 40
GRAPH_WIDTH = 40
OUT_OF_TREE = re.compile(r"^# out-of-tree begin\n.*?^# out-of-tree end\n", re.M | re.S)


class SeriesError(Exception):
    """The sources don't fit what series.toml says."""


@dataclass
class Change:
    """What one patch does to one file."""

    path: str
    text: str
    is_new: bool = False

    def count(self, sign: str) -> int:
        """Lines added ("+") or removed ("-")."""
        return sum(1 for line in self.text.splitlines()
                   if line.startswith(sign) and not line.startswith(sign * 3))


@dataclass
class Patch:
    """One patch of the series."""

    subject: str
    body: str
    changes: list[Change] = field(default_factory=list)

    def stat(self) -> str:
        """The diffstat, as git writes it."""
        return diffstat(self.changes)


def diffstat(changes: list[Change]) -> str:
    """What `git diff --stat` says of @changes."""
    totals: dict[str, list[int]] = {}
    for change in changes:
        entry = totals.setdefault(change.path, [0, 0])
        entry[0] += change.count("+")
        entry[1] += change.count("-")
    width = max(map(len, totals))
    most = max(plus + minus for plus, minus in totals.values())
    scale = min(1.0, GRAPH_WIDTH / most)
    lines = []
    for path, (plus, minus) in sorted(totals.items()):
        graph = "+" * round(plus * scale) + "-" * round(minus * scale)
        lines.append(f" {path:{width}} | {plus + minus:{len(str(most))}} {graph}".rstrip())
    plus, minus = (sum(entry[i] for entry in totals.values()) for i in (0, 1))
    total = f" {_plural(len(totals), 'file')} changed"
    if plus:
        total += f", {_plural(plus, 'insertion')}(+)"
    if minus:
        total += f", {_plural(minus, 'deletion')}(-)"
    return "\n".join([*lines, total]) + "\n"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _text(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def in_tree(name: str, substitutions: list[dict[str, str]]) -> str:
    """A source of this tree as it reads in the kernel's."""
    text = OUT_OF_TREE.sub("", _text(name))
    for rule in substitutions:
        if rule["file"] != name:
            continue
        if text.count(rule["old"]) != 1:
            raise SeriesError(f"{name} has {text.count(rule['old'])} times what series.toml "
                              f"wants to replace once:\n{rule['old']}")
        text = text.replace(rule["old"], rule["new"])
    return text


def _new_file(path: str, text: str) -> Change:
    lines = text.splitlines()
    body = "".join(f"+{line}\n" for line in lines)
    span = "1" if len(lines) == 1 else f"1,{len(lines)}"
    return Change(path, f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
                        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +{span} @@\n{body}", True)


def _changed_file(path: str, old: str, new: str) -> Change:
    diff = difflib.unified_diff(old.splitlines(True), new.splitlines(True),
                                f"a/{path}", f"b/{path}")
    return Change(path, f"diff --git a/{path} b/{path}\n" + "".join(diff))


def _split_message(name: str, author: tuple[str, str]) -> Patch:
    """A hand-kept message with its changes to files that the kernel has already."""
    text = (SOURCES / name).read_text(encoding="utf-8")
    text = text.replace("@NAME@", author[0]).replace("@EMAIL@", author[1])
    message, _, diffs = text.partition("\n---\n")
    subject, _, body = message.partition("\n\n")
    patch = Patch(subject.replace("\n", " "), body.strip("\n"))
    for part in re.split(r"(?=^diff --git )", diffs, flags=re.M):
        if part.strip():
            match = re.match(r"diff --git a/(\S+) b/\S+\n", part)
            if not match:
                raise SeriesError(f"{name}: text between the message and the first diff")
            patch.changes.append(Change(match[1], part))
    return patch


def _expand(files: dict[str, str], skip: list[str]) -> dict[str, str]:
    """@files with patterns ("*.[ch]") written out."""
    found: dict[str, str] = {}
    for target, source in files.items():
        if "*" not in source:
            found[target] = source
            continue
        for path in sorted(REPO.glob(source)):
            name = str(path.relative_to(REPO))
            if name not in skip:
                found[str(Path(target).parent / path.name)] = name
    return found


def make_patches(author: tuple[str, str]) -> list[Patch]:
    """All patches, in order."""
    with open(SOURCES / "series.toml", "rb") as handle:
        spec = tomllib.load(handle)
    state: dict[str, str] = {}
    patches = []
    for entry in spec["patch"]:
        patch = _split_message(entry["message"], author)
        for path, source in _expand(entry.get("files", {}), entry.get("skip", [])).items():
            text = in_tree(source, spec["substitution"])
            end = entry.get("until", {}).get(path)
            if end:
                if text.count(end) != 1:
                    raise SeriesError(f"{source}: '{end}' isn't there once")
                text = text.partition(end)[0]
            if path not in state:
                patch.changes.append(_new_file(path, text))
            elif state[path] != text:
                patch.changes.append(_changed_file(path, state[path], text))
            state[path] = text
        patch.changes.sort(key=lambda change: change.path)
        patches.append(patch)
    return patches


def _file_name(number: int, subject: str) -> str:
    words = re.sub(r"[^A-Za-z0-9_.]+", "-", subject).strip("-.")
    return f"{number:04}-{words[:52].rstrip('-.')}.patch"


def _header(author: tuple[str, str], number: int, total: int, subject: str) -> str:
    return (f"From {NULL_COMMIT} Mon Sep 17 00:00:00 2001\n"
            f"From: {author[0]} <{author[1]}>\n"
            f"Subject: [PATCH {number}/{total}] {subject}\n\n")


def _format_patch(patch: Patch, author: tuple[str, str], number: int, total: int) -> str:
    trailer = f"Signed-off-by: {author[0]} <{author[1]}>\n"
    has_trailers = re.search(r"^(Fixes|Cc): ", patch.body, re.M)
    return (_header(author, number, total, patch.subject)
            + patch.body + ("\n" if has_trailers else "\n\n") + trailer + "---\n" + patch.stat() + "\n"
            + "".join(change.text for change in patch.changes)
            + "--\n2.0\n\n")


def _cover_letter(patches: list[Patch], author: tuple[str, str]) -> str:
    with open(SOURCES / "series.toml", "rb") as handle:
        name = tomllib.load(handle)["cover"]
    subject, _, body = (SOURCES / name).read_text(encoding="utf-8").partition("\n\n")
    listing = "".join(f"  {patch.subject}\n" for patch in patches)
    changes = [change for patch in patches for change in patch.changes]
    return (_header(author, 0, len(patches), subject) + body.strip("\n")
            + f"\n\n{author[0]} ({len(patches)}):\n{listing}\n{diffstat(changes)}\n--\n2.0\n\n")


def make_files(author: tuple[str, str]) -> dict[str, str]:
    """Everything that belongs in kernel/patches: name -> contents."""
    patches = make_patches(author)
    files = {"0000-cover-letter.patch": _cover_letter(patches, author)}
    for number, patch in enumerate(patches, 1):
        files[_file_name(number, patch.subject)] = _format_patch(patch, author, number,
                                                                 len(patches))
    return files


def author_of_patches() -> tuple[str, str] | None:
    """Whose patches are in kernel/patches now; None where there are none."""
    cover = PATCHES / "0000-cover-letter.patch"
    if not cover.exists():
        return None
    match = re.search(r"^From: (.*) <(.*)>$", cover.read_text(encoding="utf-8"), re.M)
    return (match[1], match[2]) if match else None
