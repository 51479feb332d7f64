"""Where the tests write: into memory, if the machine has a file system there.

Nearly every test makes a database of its own, and to make one on a disk takes several times as long
as all that most tests do with it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["write_to_memory"]

# Linux has it: https://docs.kernel.org/filesystems/tmpfs.html
_MEMORY = Path("/dev/shm")
# What a run keeps at once stays far below this; a container may have 64 MB there.
_ROOM = 4 * 2**30


def write_to_memory() -> None:
    """Have this process and those that it starts make their temporary files in memory.

    Not where `TMPDIR` says another place, or where memory has too little room.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    if shutil.disk_usage(_MEMORY).free >= _ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
