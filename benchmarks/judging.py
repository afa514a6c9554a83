"""What the stored cells of benchmarks/strategies.py say of the table of strategies: pure functions of them.

The table is judged leave-one-data-set-out: its threshold is fitted on the other sets, then applied to the one left
out. Sets of one kind, as Blitzer's reviews are, are left out together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.selection import strategy

BASELINES = ("classical", "probe")
# Mean rows per label from which labels are learned from, tried as thresholds. They lie between the sizes of the grid:
# where a label has fewer rows than a size asks for, the mean is under it.
NEVER = 10**9
THRESHOLDS = (1, 20, 50, 100, 200, 500, NEVER)
Where = tuple[str, str]
Pick = Callable[[dict[str, Any]], str]


@dataclass(frozen=True)
class Draw:
    """One draw of a set and size.

    Attributes:
        evidence: what was known before anything was adapted.
        right: strategy -> (M,) which test rows it answers right.
    """

    evidence: dict[str, Any]
    right: dict[str, np.ndarray]


def draws(cells: Iterable[Mapping[str, Any]]) -> dict[Where, list[Draw]]:
    """(set, size) -> its draws, those alone that every strategy has been run on."""
    found: dict[tuple[str, str, int], Draw] = {}
    for cell in cells:
        draw = found.setdefault((cell["set"], cell["size"], cell["draw"]), Draw({}, {}))
        if cell["strategy"] == "evidence":
            draw.evidence.update(cell)
        else:
            draw.right[cell["strategy"]] = np.array([one == "1" for one in cell["right"]])
    every = {name for draw in found.values() for name in draw.right}
    whole: dict[Where, list[Draw]] = {}
    for (name, size, _), draw in sorted(found.items()):
        if draw.evidence and set(draw.right) == every:
            whole.setdefault((name, size), []).append(draw)
    return whole


def group(name: str) -> str:
    """What is left out together with a set."""
    return name.partition("_")[0]


def gap(of: Sequence[Draw], pick: Pick) -> float:
    """Points of accuracy between the scope that is best on the mean of the draws and what is picked in each."""
    scopes = [name for name in of[0].right if name not in BASELINES]
    best = max(np.mean([draw.right[name].mean() for draw in of]) for name in scopes)
    return float(100 * (best - np.mean([draw.right[pick(draw.evidence)].mean() for draw in of])))


def over(of: Sequence[Draw], pick: Pick, baseline: str) -> tuple[float, float, float]:
    """Points of the pick over a baseline and the ends of their 95 % interval, by test rows averaged over the draws."""
    rows = np.mean([draw.right[pick(draw.evidence)] * 1.0 - draw.right[baseline] for draw in of], axis=0)
    value, error = 100 * rows.mean(), 196 * rows.std(ddof=1) / np.sqrt(len(rows))
    return float(value), float(value - error), float(value + error)


def by_table(full_from: int) -> Pick:
    """The pipeline's own table with this threshold."""

    def pick(evidence: dict[str, Any]) -> str:
        best = evidence["chosen"]["scopes"]["frozen"]["depth"]
        accuracy = next(one["accuracy"] for one in evidence["scored"] if one["depth"] == best)
        known = strategy.Evidence(evidence["rows"], evidence["labels"], accuracy, 0, full_from)
        picked = strategy.pick(known)
        return picked.scope if picked.objective == "supervised" else picked.objective

    return pick


def fitted(whole: Mapping[Where, Sequence[Draw]]) -> int:
    """The threshold with the least mean gap; of equals the highest, since pairs cost less."""
    gaps = {one: mean_gap(whole, by_table(one)) for one in THRESHOLDS}
    return min(THRESHOLDS, key=lambda one: (round(gaps[one], 6), -one))


def mean_gap(whole: Mapping[Where, Sequence[Draw]], pick: Pick) -> float:
    """Over sets and sizes, each counted once; 0 of none."""
    return float(np.mean([gap(of, pick) for of in whole.values()])) if whole else 0.0


def judged(whole: Mapping[Where, Sequence[Draw]]) -> dict[Where, tuple[int, Pick]]:
    """(set, size) -> the threshold that the other groups of sets give, and its pick."""
    left_out = {}
    for one in sorted({group(name) for name, _ in whole}):
        threshold = fitted({where: of for where, of in whole.items() if group(where[0]) != one})
        left_out |= {where: (threshold, by_table(threshold)) for where in whole if group(where[0]) == one}
    return left_out


def report(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """Markdown: accuracy of every strategy by set and size, the pick of the table judged and its gap."""
    whole = draws(cells)
    if not whole:
        return ["No draw has been run with every strategy."]
    names = [*next(iter(whole.values()))[0].right]
    lines = [f"| set | a label | draws | {' | '.join(names)} | from | gap | over {' | over '.join(BASELINES)} |"]
    lines.append("|---" * (len(names) + 5 + len(BASELINES)) + "|")
    held = judged(whole)
    for where, of in whole.items():
        threshold, pick = held[where]
        cells_of = [f"{100 * np.mean([draw.right[name].mean() for draw in of]):.1f}" for name in names]
        cells_of += ["never" if threshold == NEVER else f"{threshold}", f"{gap(of, pick):.2f}"]
        cells_of += ["{:+.1f} [{:+.1f}, {:+.1f}]".format(*over(of, pick, name)) for name in BASELINES]
        lines.append(f"| {where[0]} | {where[1]} | {len(of)} | {' | '.join(cells_of)} |")
    mean = float(np.mean([gap(whole[where], pick) for where, (_, pick) in held.items()]))
    ships = fitted(whole)
    lines.append(f"Mean gap of the sets that were left out {mean:.2f} points; of all sets, with the threshold")
    lines.append(f"{ships} that they give, {mean_gap(whole, by_table(ships)):.2f}.")
    always = {name: mean_gap(whole, lambda _, name=name: name) for name in names if name not in BASELINES}
    lines.append("; ".join(f"always {name} {value:.2f}" for name, value in always.items()) + ".")
    return lines
