"""`params.yaml` as text: values and leaves change, every comment and every other byte stays."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tasks.errors import InputError


@dataclass(frozen=True)
class _Entry:
    """One key of a mapping and its value, with their places in the text as YAML's parser marks them."""

    key: yaml.Node
    value: yaml.Node

    @property
    def below(self) -> bool:
        """Whether the value stands on the lines below its key."""
        return isinstance(self.value, yaml.CollectionNode) and not self.value.flow_style

    def end(self, text: str) -> int:
        """Index behind the value; the parser counts what follows a block to it."""
        node = self.value
        while isinstance(node, yaml.CollectionNode) and not node.flow_style:
            last = node.value[-1]
            node = last[1] if isinstance(last, tuple) else last
        return len(text[: node.end_mark.index].rstrip())


def with_values(text: str, values: Mapping[str, Any]) -> str:
    """The text with other values at these dotted paths, each of which it has; a comment behind a key stays there."""
    for path, value in values.items():
        text = _with_value(text, path, value)
    return text


def with_missing_leaves(text: str, template: str, leaves: Collection[str]) -> tuple[str, list[str]]:
    """The text with the leaves that only the template has, each behind the key that it follows there.

    Args:
        text: a user's params.yaml; all of it stays as it is, but for a missing end of its last line.
        template: the text they come from, with their comments.
        leaves: dotted paths of the template that are not divided further.

    Returns:
        The new text, and the dotted paths of the leaves that were added.

    Raises:
        InputError: the text has aliases, or a section is no block, so that nothing can be put into it.
    """
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise InputError("params.yaml has YAML aliases, between which no leaf can be placed: write their values out.")
    text = text if text.endswith("\n") else f"{text}\n"
    ours, theirs = _entries(text), _entries(template)
    pieces: list[tuple[int, str]] = []
    added: list[str] = []
    for path, before in _missing(ours, theirs, leaves):
        place = _line_after(text, ours[before].end(text)) if before else _top(text, ours, _parent(path))
        pieces.append((place, textwrap.indent(_lines_of(template, theirs[path]), _indent(ours, _parent(path)))))
        added += [leaf for leaf in leaves if f"{leaf}.".startswith(f"{path}.")]
    pieces.sort(key=lambda one: one[0])
    for place, piece in reversed(pieces):
        text = text[:place] + piece.replace("\n", "\r\n" if "\r\n" in text else "\n") + text[place:]
    return text, added


def unknown_leaves(text: str, template: str, leaves: Collection[str]) -> list[str]:
    """Dotted paths that only the text has; of a section that the template lacks, its own path."""
    theirs = {"", *_entries(template)}
    return [
        path
        for path in _entries(text)
        if path not in theirs and _parent(path) in theirs and not _inside_a_leaf(path, leaves)
    ]


def _entries(text: str) -> dict[str, _Entry]:
    """Dotted path -> entry of every key, a section before what is in it."""
    return dict(_walk(yaml.compose(text, yaml.SafeLoader), ""))


def _walk(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, _Entry]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", _Entry(key, value)
            yield from _walk(value, f"{prefix}{key.value}.")


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _inside_a_leaf(path: str, leaves: Collection[str]) -> bool:
    return any(path.startswith(f"{leaf}.") for leaf in leaves)


def _missing(
    ours: Mapping[str, _Entry], theirs: Mapping[str, _Entry], leaves: Collection[str]
) -> Iterator[tuple[str, str | None]]:
    """Path of each key that we lack in a section that we have, and of the last key before it that we have there."""
    before: dict[str, str] = {}
    for path in theirs:
        section = _parent(path)
        if path in ours:
            before[section] = path
        elif section in {"", *ours} and not _inside_a_leaf(path, leaves):
            yield path, before.get(section)


def _line_after(text: str, place: int) -> int:
    return text.find("\n", place) + 1 or len(text)


def _top(text: str, ours: Mapping[str, _Entry], section: str) -> int:
    """Where the first line of a section stands, or would stand."""
    if not section:
        return min((entry.key.start_mark.index for entry in ours.values()), default=len(text))
    entry = ours[section]
    if not entry.below and entry.value.start_mark.index < entry.value.end_mark.index:
        raise InputError(
            f"params.yaml: {section} is no block, so that nothing can be added to it: write it one key a line, "
            "or remove it and run again."
        )
    return _line_after(text, entry.key.end_mark.index)


def _indent(ours: Mapping[str, _Entry], section: str) -> str:
    beside = [entry.key.start_mark.column for path, entry in ours.items() if _parent(path) == section]
    return " " * (beside[0] if beside else ours[section].key.start_mark.column + 2)


def _lines_of(template: str, entry: _Entry) -> str:
    """The lines of a key, with the comment above it and the blank line above that, at the left margin."""
    lines = template[: entry.key.start_mark.index].splitlines()
    lines = lines if entry.key.start_mark.column == 0 else lines[:-1]
    first = len(lines)
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    while first and not lines[first - 1].strip():
        first -= 1
    last = template.count("\n", 0, entry.end(template)) + 1
    return textwrap.dedent("".join(f"{line}\n" for line in template.splitlines()[first:last]))


def _with_value(text: str, path: str, value: Any) -> str:
    entry = _entries(text)[path]
    first = text.rfind("\n", 0, entry.key.start_mark.index) + 1
    colon = text.index(":", entry.key.end_mark.index) + 1
    behind = colon if entry.below else entry.end(text)
    rest = text[behind : _line_after(text, behind)].rstrip("\n")
    block = bool(value) and isinstance(value, list | dict)
    line = text[first:colon] + ("" if block else f" {_dumped(value, flow=True)}")
    if "#" in rest:
        column = text.index("#", behind) - (text.rfind("\n", 0, behind) + 1)
        line = f"{line:<{column - 2}}  {rest.lstrip()}"
    below = textwrap.indent(_dumped(value, flow=False), " " * (entry.key.start_mark.column + 2)) + "\n" if block else ""
    return f"{text[:first]}{line}\n{below}{text[_line_after(text, entry.end(text)) :]}"


def _dumped(value: Any, flow: bool) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").rstrip("\n")
