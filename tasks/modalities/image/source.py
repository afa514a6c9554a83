"""Images are files that the rows name by their path."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.artifacts import sha256_text
from tasks.errors import InputError
from tasks.modalities.contract import Inspected
from tasks.modalities.image.decode import available_cpus, decoding_fault, header, header_fault

if TYPE_CHECKING:
    from tasks.modalities.image.settings import Settings

UNIT = "pixels"
FILES = True
WORDS = False
DEFAULT_MODEL: str | None = None
# A PNG of 8 x 8 pixels: red grows to the right, green downwards, blue to the upper left.
EXAMPLE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAG0lEQVR42mNkYPijwvAOE7EwqLxjYMCCBqcEADO6PaTzuWnBAAAAAElFTkSuQmCC"
)

MAX_FILE_BYTES = 64_000_000
NO_FILE, OUTSIDE = "no such file", "path leads out of the project"
# Files that wait for their turn, per thread: enough to keep each busy, few enough to forget.
LOOK_AHEAD = 4
DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)


def inspect(cells: Sequence[str], root: Path, settings: Settings) -> Iterator[Inspected]:
    """One record per file; see `contract.Source`. Each is read once, whole, and decoded to see that it can be."""
    threads = available_cpus()
    with ThreadPoolExecutor(threads, thread_name_prefix="inspect") as pool:
        begun: deque[Future[Inspected]] = deque()
        for cell in cells:
            begun.append(pool.submit(_inspected, cell, root, settings.max_pixels))
            if len(begun) > LOOK_AHEAD * threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def likeness(threshold: float) -> None:
    """Images are only compared byte by byte."""


def read(cell: str, root: Path) -> bytes:
    """Bytes of the file that a cell names.

    Raises:
        OSError: there is no such file below `root`, it is over `MAX_FILE_BYTES`, or it cannot be read.
    """
    content, reason = _content(cell, root)
    if content is None:
        raise OSError(errno.ENOENT, reason, cell)
    return content


def received(value: str) -> bytes:
    """Bytes of a file in base64, with or without "data:image/...;base64," before it.

    Raises:
        InputError: it is not base64, or nothing.
    """
    prefix = DATA_URL.match(value)
    try:
        content = base64.b64decode(value[prefix.end() if prefix else 0 :], validate=True)
    except ValueError:
        content = b""
    if not content:
        raise InputError("An image is not in base64: send the bytes of its file in base64, on one line.")
    return content


def _inspected(cell: str, root: Path, max_pixels: int) -> Inspected:
    content, reason = _content(cell, root)
    if content is None:
        return Inspected(sha256_text(cell)[:32], 0, reason)
    found = header(content)
    fault = header_fault(content, max_pixels) or decoding_fault(content)
    return Inspected(hashlib.sha256(content).hexdigest()[:32], found.pixels if found else 0, fault)


def _content(cell: str, root: Path) -> tuple[bytes | None, str]:
    """Bytes of the file, or None and why there are none."""
    # What the user linked into the project belongs to it; dots in a cell never lead out, not even behind a link.
    path = os.path.normpath(cell)
    if os.path.isabs(path) or path.split(os.sep)[0] == os.pardir:
        return None, OUTSIDE
    try:
        # Of a pipe, opening would wait for whoever writes to it.
        found = os.stat(root / path)
        if not stat.S_ISREG(found.st_mode):
            return None, NO_FILE
        if found.st_size > MAX_FILE_BYTES:
            return None, f"file over {MAX_FILE_BYTES // 1_000_000} MB"
        return (root / path).read_bytes(), ""
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None, NO_FILE
    except OSError as error:
        return None, f"file cannot be read ({error.strerror})"
