"""`dvc.lock` as what was made of what: whether one is whole, and where two of them first differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import yaml

from tasks.reproduce import CODE

NAME = "dvc.lock"
CODE_FILE = f"{CODE}.yaml"
Stages = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """Where two locks differ first.

    Attributes:
        stage: as in dvc.yaml.
        kind: stage | command | dep | param | code | out.
        name: of the file, the parameter or the stage.
        before: as the first lock has it; None if it has it not.
        after: as the second has it.
    """

    stage: str
    kind: str
    name: str
    before: Any
    after: Any


def stages_of(text: str) -> dict[str, Any]:
    """Stage -> its entry, of the text of a lock."""
    stages: dict[str, Any] = yaml.safe_load(text)["stages"]
    return stages


def is_whole(text: str) -> bool:
    """Whether DVC could read it; a killed process may have left half of it."""
    try:
        stages = stages_of(text)
    except (yaml.YAMLError, TypeError, KeyError):
        return False
    return isinstance(stages, dict) and all(isinstance(stage, dict) and "cmd" in stage for stage in stages.values())


def first_difference(before: Stages, after: Stages, order: Sequence[str]) -> Difference | None:
    """The first entry, in the order of the stages and within each from what it was given to what it made.

    Args:
        before: stages of a lock, as `stages_of` gives them.
        after: the same of another.
        order: stages so that none comes before what it depends on; others follow.
    """
    for stage in dict.fromkeys([*order, *before, *after]):
        if stage == CODE:  # each stage has its own part of it among its parameters
            continue
        if stage not in before or stage not in after:
            return Difference(stage, "stage", stage, before.get(stage), after.get(stage))
        found = _first(stage, before[stage], after[stage])
        if found:
            return found
    return None


def same_outputs(before: Stages, after: Stages) -> bool:
    """Whether every output, the code hashes left out, is the same bytes in both."""

    def made(stages: Stages) -> dict[str, Any]:
        return dict(chain.from_iterable(_files(s, "outs").items() for name, s in stages.items() if name != CODE))

    return made(before) == made(after)


def _first(stage: str, before: dict[str, Any], after: dict[str, Any]) -> Difference | None:
    for kind, old, new in _parts(before, after):
        for name in dict.fromkeys([*old, *new]):
            if name not in old or name not in new or old[name] != new[name]:
                return Difference(stage, kind, name, old.get(name), new.get(name))
    return None


def _parts(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    yield "command", {"cmd": before["cmd"]}, {"cmd": after["cmd"]}
    yield "dep", _files(before, "deps"), _files(after, "deps")
    yield "param", _params(before), _params(after)
    yield "code", _code(before), _code(after)
    yield "out", _files(before, "outs"), _files(after, "outs")


def _files(stage: dict[str, Any], kind: str) -> dict[str, Any]:
    """Path -> hash and size."""
    return {entry["path"]: {key: entry[key] for key in entry if key != "path"} for entry in stage.get(kind, [])}


def _code(stage: dict[str, Any]) -> dict[str, Any]:
    return dict(stage.get("params", {}).get(CODE_FILE, {}))


def _params(stage: dict[str, Any]) -> dict[str, Any]:
    files = {name: values for name, values in stage.get("params", {}).items() if name != CODE_FILE}
    return dict(chain.from_iterable(_leaves(values, "") for values in files.values()))


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
