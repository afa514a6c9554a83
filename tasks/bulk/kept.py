"""Answers kept beside an output while it is made, so that a job that was killed goes on where it was."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tasks.errors import BusyError

Answer = tuple[str, float]
Answers = list[Answer | None]


class Kept:
    """A line of JSON for each portion: the hash of its examples, and their answers.

    An answer depends on what shares its portion, so that a line counts for exactly these examples, and only while all
    portions before it were the same. The first line holds what else answers depend on.

    Args:
        file: to read and append.
        terms: what all answers depend on, as plain JSON; with others nothing that is kept counts.

    Attributes:
        portions: that this call has the answers to.
        rows_found: whose answers need not be made again.
    """

    def __init__(self, file: BinaryIO, terms: dict[str, Any]) -> None:
        self._file = file
        self._head = _line(terms)
        self._more = file.readline() == self._head
        self._end = len(self._head) if self._more else 0
        self.portions = self.rows_found = 0
        if not self._more:
            self._forget_rest()

    @property
    def empty(self) -> bool:
        """Whether nothing is kept, by this call or one before it."""
        return self.portions == 0 and not self._more

    def recall(self, examples: Sequence[str | bytes | None], answer: Callable[[], Answers]) -> Answers:
        """Answers to the next portion: as they are kept, or else by `answer`, which is kept then."""
        digest = _digest(examples)
        found = self._next(digest)
        if found is None:
            found = answer()
            self._file.write(_line({"examples": digest, "answers": found}))
            self._file.flush()
        self.portions += 1
        return found

    def _next(self, digest: str) -> Answers | None:
        if not self._more:
            return None
        line = self._file.readline()
        try:
            entry = json.loads(line)
        except ValueError:  # cut off, when its writer was
            entry = {}
        if line.endswith(b"\n") and entry.get("examples") == digest:
            self._end += len(line)
            answers: Answers = [one and (one[0], one[1]) for one in entry["answers"]]
            self.rows_found += len(answers)
            return answers
        self._forget_rest()
        return None

    def _forget_rest(self) -> None:
        self._more = False
        self._file.seek(self._end)
        self._file.truncate()
        if self._end == 0:
            self._file.write(self._head)


@contextmanager
def kept_beside(out: Path, terms: dict[str, Any]) -> Iterator[Kept]:
    """The answers kept for an output; they go when the block ends well, or when there are none.

    Raises:
        BusyError: another process makes this output.
    """
    path = out.with_name(f".{out.name}.answers")
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(f"Another graft predict writes {out.name}: wait for it, or name another file.") from None
        file.seek(0)
        kept, done = Kept(file, terms), False
        try:
            yield kept
            done = True
        finally:
            if done or kept.empty:
                path.unlink()


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8") + b"\n"


def _digest(examples: Sequence[str | bytes | None]) -> str:
    digest = hashlib.sha256()
    for one in examples:
        content = one.encode("utf-8") if isinstance(one, str) else one
        digest.update(b"-" if content is None else b"%d:%b" % (len(content), content))
    return digest.hexdigest()
