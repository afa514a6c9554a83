"""Why a stage would run, in the words of the project and not of DVC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

NEVER = "it has not run here yet"
MOST_NAMED = 3
# DVC's words for a file that is not there, or that its cache cannot bring.
AWAY = ("deleted", "not in cache")
CODE_HASHES = "code.yaml"


def why(entries: Sequence[Any], ran: bool) -> str:
    """The reasons of one stage.

    Args:
        entries: of the stage in `dvc status`: a word, or kind -> path -> state, or path -> parameter -> state.
        ran: whether dvc.lock has a run of it.
    """
    if not ran:
        return NEVER
    changed, away, other = [], [], []
    for kind, path, state in _flat(entries):
        if path is None:
            other.append(kind)
        elif state in AWAY:
            away.append(path)
        else:
            changed.append(_named(path, state))
    parts = [f"{word} {_few(names)}" for word, names in (("changed:", changed), ("not here:", away)) if names]
    return "; ".join([*parts, *other])


def _flat(entries: Sequence[Any]) -> Iterator[tuple[str, str | None, Any]]:
    for entry in entries:
        if entry == "always changed":
            continue
        for kind, items in entry.items() if isinstance(entry, dict) else [(str(entry), {})]:
            yield from [(kind, path, state) for path, state in items.items()] if items else [(kind, None, None)]


def _named(path: str, state: Any) -> str:
    if path == CODE_HASHES:
        return "code"
    return f"{path} ({_few([*state])})" if isinstance(state, dict) else path


def _few(names: Sequence[str]) -> str:
    named = ", ".join(dict.fromkeys(names[:MOST_NAMED]))
    return f"{named} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else named
