"""Which candidates `selection.limits` leave, and why the others are out; pure, with the readings handed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.errors import InputError
from tasks.params import Limits
from tasks.selection.cost import Cost


@dataclass(frozen=True)
class Out:
    """What is out of one candidate.

    Attributes:
        source: of the candidate.
        revision: of the candidate.
        from_depth: this depth and all deeper ones are out; 0 for the whole candidate.
        reason: without a figure that was read off a clock, since it stands in a hashed output.
    """

    source: str
    revision: str
    from_depth: int
    reason: str

    @property
    def sentence(self) -> str:
        """For whoever reads the choice."""
        what = f"{self.source} from depth {self.from_depth} up" if self.from_depth else self.source
        return f"{what} is out: {self.reason}."


def by_licence(licence: str | None, limits: Limits) -> str | None:
    """Why a licence is refused; None if it may be used, or none is asked for.

    Args:
        licence: as the model names it, compared without case; None if it is not known.
        limits: the list of those that may be used.
    """
    if limits.licences is None or (licence or "").casefold() in {name.casefold() for name in limits.licences}:
        return None
    found = f"its licence {licence} is not" if licence else "no README, package or hub names its licence, so it is not"
    return f"{found} in selection.limits.licences"


def by_cost(costs: Sequence[Cost], milliseconds: Callable[[int], float], limits: Limits) -> tuple[int, str | None]:
    """How many depths are inside the limits, from 0 up, and why the others are not; None if all are.

    Both grow with depth, since a deeper cut holds and does all that a shallower one does: the depth at which the time
    is over its limit is found by bisection, so that few depths are measured.

    Args:
        costs: at depth 0, 1, ...
        milliseconds: depth -> milliseconds of one row; called only where there is a limit on them.
        limits: on both.
    """
    count, reason = len(costs), None
    if limits.max_megabytes is not None:
        count = sum(cost.bytes <= limits.max_megabytes * 1e6 for cost in costs)
        if count < len(costs):
            reason = f"its float32 weights are over selection.limits.max_megabytes {limits.max_megabytes:g}"
    if limits.max_milliseconds is not None and count:
        most = limits.max_milliseconds
        inside = _count_inside(count, lambda depth: milliseconds(depth) <= most)
        if inside < count:
            count, reason = inside, f"a row takes longer than selection.limits.max_milliseconds {most:g}"
    return count, reason


def _count_inside(count: int, inside: Callable[[int], bool]) -> int:
    """How many of 0, 1, ..., count - 1 are inside, the first ones; the last is asked first."""
    if inside(count - 1):
        return count
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if inside(middle) else (low, middle)
    return low


def refuse_nothing_left(left: int, out: Sequence[Out]) -> None:
    """Refuse a choice among none.

    Raises:
        InputError: no candidate is left.
    """
    if not left:
        reasons = "; ".join(f"{one.source}: {one.reason}" for one in out)
        raise InputError(f"selection.limits leave no candidate ({reasons}): raise a limit or add a candidate.")
