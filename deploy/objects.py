"""Small and large objects below one URL of fsspec; what a driver says becomes one sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from tasks.artifacts import sha256_text
from tasks.sources.reach import S3, is_broken, opened_by, status, told
from tasks.sources.url import scheme

T = TypeVar("T")
CONFLICT, PRECONDITION_FAILED = 409, 412


class Objects:
    """Objects by name. Every method raises InputError where the store cannot be reached or refuses us.

    Args:
        url: may name environment variables as `${NAME}`; it is shown as it is here.
        setting: that holds it, for errors.
    """

    def __init__(self, url: str, setting: str) -> None:
        self.url, self._setting = url.rstrip("/"), setting

    def read(self, name: str) -> bytes | None:
        """Content of an object, None if there is none."""
        return self._there(lambda: bytes(self._system.cat_file(self._path(name))))

    def names(self, folder: str = "") -> list[str]:
        """Names of what is in a folder, sorted."""

        def attempt() -> list[str]:
            self._system.invalidate_cache()
            paths = self._system.ls(self._path(folder).rstrip("/"), detail=False)
            return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

        return self._there(attempt) or []

    def tag(self, name: str) -> str | None:
        """What changes with the content: an ETag, or a hash where the store has none; None if there is no object."""

        def attempt() -> str:
            self._system.invalidate_cache()
            info = self._system.info(self._path(name))
            tag = info.get("ETag") or info.get("etag")
            return str(tag or sha256_text(self._system.cat_file(self._path(name)).decode("utf-8", "replace")))

        return self._there(attempt)

    def put(self, name: str, content: bytes, tag: str | None) -> bool:
        """Write an object in one request, if it is as it was.

        Args:
            name: of the object.
            content: whole.
            tag: that it must have, None if there must be none.

        Returns:
            Whether it stands there now.
        """

        def attempt() -> bool:
            try:
                if tag is None:
                    self._system.pipe_file(self._path(name), content, mode="create")
                elif scheme(self.url) in S3:
                    self._system.pipe_file(self._path(name), content, IfMatch=tag)
                elif self.tag(name) == tag:
                    self._system.pipe_file(self._path(name), content)
                else:
                    return False
            except Exception as error:  # each driver has its own
                gone = tag is not None and isinstance(error, FileNotFoundError) and not is_broken(error)
                refused = isinstance(error, FileExistsError) or status(error) in (CONFLICT, PRECONDITION_FAILED)
                if not (gone or refused):
                    raise
                # A write whose answer got lost is refused too when it is tried again.
                return self.read(name) == content
            return True

        return self._told(attempt)

    def upload(self, path: Path, name: str) -> None:
        """Write a file of any size."""
        self._told(lambda: self._system.put_file(str(path), self._path(name)))

    def download(self, name: str, path: Path) -> None:
        """Copy an object to a file here; what is not there is not copied."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._there(lambda: self._system.get_file(self._path(name), str(path)))

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        return opened_by(self.url, self._setting)

    @property
    def _system(self) -> Any:
        return self._opened[0]

    def _path(self, name: str) -> str:
        return f"{self._opened[1].rstrip('/')}/{name}"

    def _told(self, attempt: Callable[[], T]) -> T:
        return told(self.url, attempt, self._setting, "an object")

    def _there(self, attempt: Callable[[], T]) -> T | None:
        def whole() -> T | None:
            try:
                return attempt()
            except FileNotFoundError as error:
                if is_broken(error):
                    raise
                return None

        return self._told(whole)
