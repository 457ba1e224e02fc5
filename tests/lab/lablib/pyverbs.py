# SPDX-License-Identifier: MIT
"""An image layer with Python and pyverbs, for the scenario that uses them."""

from __future__ import annotations

from pathlib import Path

from .apt import Archive
from .base import LabError


def layer(archive: Archive, provider: Path) -> Path:
    raise LabError("not yet")
