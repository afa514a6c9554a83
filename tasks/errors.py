"""The error tree. Every error of ours is one sentence: what is wrong, where, and what to do.

GraftError
├── InputError      unusable input: exit code 2, nothing was changed
├── GateError       a gate or a check failed: exit code 1, the outputs stand
├── BusyError       another run holds the project: exit code 2
├── InterruptError  stopped from outside: exit code 130, a rerun completes
└── CrashError      a stage broke in a way nobody foresaw: exit code 1, the log has the traceback
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from pathlib import Path

NO_ROOM = {errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
# Allocators say so in a RuntimeError: torch's of the CPU and of a GPU, oneDNN's, that of C++.
NO_MEMORY_TEXT = re.compile(
    r"out of memory|can(no|')t allocate memory|ALLOC_FAILED|bad_alloc|unable to allocate|could not create a memory",
    re.IGNORECASE,
)
# Libraries in Rust and C++ report a refused write as text only.
NO_ROOM_TEXT = re.compile(r"os error (27|28|30|122)|Errno (27|28|30|122)|No space left|File too large|disk is full")


class GraftError(Exception):
    """Base of all errors that a user is told about in sentences.

    Args:
        sentences: one or more complete sentences; several where all faults are found at once.
    """

    exit_code = 1
    outcome = "crash"

    def __init__(self, sentences: str | Sequence[str]) -> None:
        self.sentences = [sentences] if isinstance(sentences, str) else list(sentences)
        super().__init__("\n".join(self.sentences))


class InputError(GraftError):
    """Input that cannot be used: params, data, weights, environment, disk."""

    exit_code = 2
    outcome = "refused"


class GateError(GraftError):
    """A gate read a verdict and said no; what was made stays for inspection."""

    outcome = "gate"


class BusyError(GraftError):
    """Another process is writing to this project."""

    exit_code = 2
    outcome = "refused"


class InterruptError(GraftError):
    """A signal ended the run."""

    exit_code = 130
    outcome = "interrupted"


class CrashError(GraftError):
    """A fault of ours or of a library: not the user's input."""


BY_OUTCOME: dict[str, type[GraftError]] = {
    kind.outcome: kind for kind in (InputError, GateError, InterruptError, CrashError)
}


def refused_write(error: BaseException, what: str = "an output") -> str | None:
    """The sentence for a write, or any access, that the system refused, or None when the error is another.

    Args:
        error: as caught.
        what: names the file where the error does not, as most do not.
    """
    refused = isinstance(error, OSError) and error.errno in NO_ROOM
    if not refused and not NO_ROOM_TEXT.search(str(error)):
        return None
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0][:200]
    name = Path(str(error.filename)).name if isinstance(error, OSError) and error.filename else what
    if isinstance(error, PermissionError):  # it may have been to be read
        return f"Access to {name} was refused ({reason}): allow it and run again; the last outputs are kept."
    return f"Writing {name} was refused ({reason}): free or allow the space and run again; the last outputs are kept."


def lacked_memory(error: BaseException) -> str | None:
    """What was refused, in the allocator's words, or None when the error is no lack of memory."""
    kinds = MemoryError | RuntimeError | OSError
    if not isinstance(error, kinds) or not (isinstance(error, MemoryError) or NO_MEMORY_TEXT.search(str(error))):
        return None
    return (str(error).splitlines() or ["an allocation failed"])[0].strip()[:200].rstrip(".")
