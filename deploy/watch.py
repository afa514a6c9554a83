"""Windows of the prediction log against the drift reference of the release that answered them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy import predictions
from deploy.releases import CHAMPION, Releases
from deploy.settings import Settings
from tasks import drift
from tasks.artifacts import read_json, write_json
from tasks.errors import InputError
from tasks.manifest import read_manifest

COLUMNS = ("time", "version", "prediction", "probability", "projection")
# After a long silence the newest windows say what is; each costs some milliseconds.
MOST_WINDOWS = 200


@dataclass(frozen=True)
class Window:
    """One window of answers, judged.

    Attributes:
        since: time of its first answer.
        until: time of its last.
        rows: answers in it.
        distances: measure -> distance from the reference.
        alarms: measures by which it is over its limit.
    """

    since: str
    until: str
    rows: int
    distances: dict[str, float]
    alarms: list[str]


@dataclass(frozen=True)
class Look:
    """What one look at the prediction log found.

    Attributes:
        version: the champion, whose answers were looked at.
        windows: judged, oldest first.
        waiting: answers of the champion that do not fill a window yet.
        passed_over: answers that were too many to be judged now, older than those that were.
        window_rows: answers of a window.
        limits: measure -> distance above which a window is an alarm; None where the reference is too small for one.
    """

    version: str
    windows: list[Window]
    waiting: int
    passed_over: int
    window_rows: int
    limits: dict[str, float | None]

    @property
    def alarms(self) -> list[Window]:
        """Windows over a limit."""
        return [window for window in self.windows if window.alarms]

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Watch:
    """Looks at a prediction log, each time at the rows that came since; `remember` makes a look count.

    Args:
        releases: folder of releases.
        log: folder of the prediction log.
        state: JSON file that says which rows were judged.
    """

    def __init__(self, releases: Path, log: Path, state: Path) -> None:
        self._releases, self._log, self._state = Releases(releases), log, state
        self._seen: dict[str, int] = read_json(state) if state.is_file() else {}

    def look(self) -> Look:
        """Judge every whole window of the champion's answers that were not judged before.

        Raises:
            InputError: there is no champion, its bundle is damaged, or a log file cannot be read.
        """
        version = self._releases.current(CHAMPION)
        if version is None:
            raise InputError("There is no champion to watch: `graft run --promote` makes the first.")
        bundle = self._releases.path_of(version)
        reference, labels = drift.load(bundle / "drift.npz"), read_manifest(bundle).labels
        rows = self._unseen(version)
        size = reference.window_rows
        whole = len(rows) // size
        first = max(0, whole - MOST_WINDOWS) * size
        windows = [_judged(rows[i : i + size], reference, labels) for i in range(first, whole * size, size)]
        self._seen |= {name: place for name, place, _ in rows[: whole * size]}
        limits = [float(limit) if np.isfinite(limit) else None for limit in reference.limits]
        return Look(
            version, windows, len(rows) - whole * size, first, size, dict(zip(drift.MEASURES, limits, strict=True))
        )

    def remember(self) -> None:
        """Let the rows of the last look count as judged."""
        there = {path.name for path in self._log.glob("*.parquet")}
        write_json(self._state, {name: place for name, place in sorted(self._seen.items()) if name in there})

    def _unseen(self, version: str) -> list[tuple[str, int, dict[str, Any]]]:
        """File, place behind it there, and content of each row of a version that was not judged, by time.

        Rows of a file are of one release and in the order of their time, so that what is judged of it always is its
        beginning.
        """
        found = []
        for name, table in predictions.read(self._log, COLUMNS, self._seen):
            before = self._seen.get(name, 0)
            if table.column("version")[0].as_py() == version:
                found += [(name, before + place, row) for place, row in enumerate(table.to_pylist(), start=1)]
            else:
                self._seen[name] = before + table.num_rows
        return sorted(found, key=lambda one: one[2]["time"])


def log_of(releases: Path) -> Path:
    """Folder of the prediction log that the servers of these releases write.

    Raises:
        InputError: the environment turns the log off.
    """
    folder = Settings.from_environment().log_folder
    if not folder:
        raise InputError(
            "The prediction log is off, since GRAFT_LOG_FOLDER is empty: unset it here and for the server."
        )
    return releases / folder


def _judged(
    rows: Sequence[tuple[str, int, dict[str, Any]]], reference: drift.Reference, labels: Sequence[str]
) -> Window:
    found = [row for _, _, row in rows]
    place = {label: k for k, label in enumerate(labels)}
    window = drift.Rows(
        np.array([row["projection"] for row in found], dtype=np.float32),
        np.array([place[row["prediction"]] for row in found]),
        np.array([row["probability"] for row in found], dtype=np.float32),
    )
    distances = drift.judge(reference, window)
    since, until = (found[i]["time"].isoformat(timespec="seconds") for i in (0, -1))
    return Window(since, until, len(found), distances, drift.alarms(reference, distances))


def markdown(look: Look) -> str:
    """What a look found, for Prefect's page."""
    lines = [f"# Drift of release {look.version}", "", sentence(look), ""]
    if look.windows:
        lines += [f"| until | {' | '.join(drift.MEASURES)} | alarm |", "|---|---|---|---|---|"]
        limits = [look.limits[name] for name in drift.MEASURES]
        lines += ["| limit | " + " | ".join("none" if one is None else f"{one:.4f}" for one in limits) + " | |"]
    for window in look.windows:
        distances = " | ".join(f"{window.distances[name]:.4f}" for name in drift.MEASURES)
        lines.append(f"| {window.until} | {distances} | {', '.join(window.alarms)} |")
    return "\n".join(lines) + "\n"


def sentence(look: Look) -> str:
    """What a look found, in words."""
    if all(limit is None for limit in look.limits.values()):
        return f"Drift of {look.version} cannot be told: its reference has under {drift.FEWEST_ROWS} test rows."
    if not look.windows:
        return f"Nothing to judge yet: {look.waiting} of the {look.window_rows} answers of a window are there."
    over = f" {look.passed_over} older answers were passed over." if look.passed_over else ""
    if not look.alarms:
        return f"No drift in {len(look.windows)} windows of {look.window_rows} answers by {look.version}.{over}"
    measures = sorted({name for window in look.alarms for name in window.alarms})
    return (
        f"Drift: {len(look.alarms)} of {len(look.windows)} windows of {look.window_rows} answers by {look.version} are "
        f"over the limit by {', '.join(measures)}, the last until {look.alarms[-1].until}.{over}"
    )
