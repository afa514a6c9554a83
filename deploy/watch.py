"""Windows of the prediction log against the drift reference of the release that answered them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy import predictions
from deploy.releases import CHAMPION, Releases
from deploy.settings import Settings
from tasks import drift
from tasks.artifacts import read_json, write_json
from tasks.errors import InputError
from tasks.manifest import fault, read_manifest
from tasks.runtime import DRIFT, reference_of
from tasks.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

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


@dataclass(frozen=True)
class _Stream:
    """Rows of one release that were not judged, from files of several servers.

    Attributes:
        table: N rows, file after file.
        names: of the files.
        file: (N,) numbers of the files.
        place: (N,) places behind the rows in their files.
        order: (N,) rows by time.
        dropped: older rows that are too many to be judged.
    """

    table: pa.Table
    names: list[str]
    file: np.ndarray
    place: np.ndarray
    order: np.ndarray
    dropped: int

    def seen(self, count: int) -> dict[str, int]:
        """File -> rows of it among the first `count`, which always are its beginning."""
        taken = self.order[:count]
        files = self.file[taken]
        return {self.names[k]: int(self.place[taken][files == k].max()) for k in np.unique(files)}


class Watch:
    """Looks at a prediction log, each time at the rows that came since; `remember` makes a look count.

    Args:
        releases: where they lie.
        log: folder of the prediction log.
        state: JSON file that says which rows were judged.
    """

    def __init__(self, releases: Releases, log: Path, state: Path) -> None:
        self._releases, self._log, self._state = releases, log, state
        self._seen: dict[str, int] = read_json(state) if state.is_file() else {}

    def look(self) -> Look:
        """Judge every whole window of the champion's answers that were not judged before.

        Raises:
            InputError: there is no champion, its bundle is damaged or has no reference, or a log file cannot be read.
        """
        version = self._releases.current(CHAMPION)
        if version is None:
            raise InputError("There is no champion to watch: `graft run --promote` makes the first.")
        bundle = self._releases.path_of(version)
        manifest = read_manifest(bundle)
        reference = reference_of(bundle, manifest)
        if reference is None:
            raise fault(bundle, f"it has no {DRIFT}, so that its drift cannot be told")
        size = reference.window_rows
        rows = self._unseen(version, MOST_WINDOWS * size)
        count = len(rows.order)
        whole = count - count % size
        first = max(0, whole - MOST_WINDOWS * size)
        table = rows.table.take(rows.order[first:whole])
        windows = [_judged(table.slice(i, size), reference, manifest.labels) for i in range(0, whole - first, size)]
        self._seen |= rows.seen(whole)
        limits = [float(limit) if np.isfinite(limit) else None for limit in reference.limits]
        told = dict(zip(drift.MEASURES, limits, strict=True))
        return Look(version, windows, count - whole, rows.dropped + first, size, told)

    def remember(self) -> None:
        """Let the rows of the last look count as judged."""
        there = {path.name for path in self._log.glob("*.parquet")}
        write_json(self._state, {name: place for name, place in sorted(self._seen.items()) if name in there})

    def _unseen(self, version: str, most: int) -> _Stream:
        """Rows of a version that were not judged; of many, those of the last hours that have at least `most`."""
        kept: list[tuple[str, pa.Table]] = []
        dropped = 0
        for name, table in predictions.read(self._log, COLUMNS, self._seen):
            if table.column("version")[0].as_py() != version:  # a file is of one release
                self._seen[name] = self._seen.get(name, 0) + table.num_rows
                continue
            kept.append((name, table))
            while sum(one.num_rows for _, one in kept[1:]) >= most and _hour(kept[0][0]) < _hour(name):
                old, rows = kept.pop(0)
                self._seen[old] = self._seen.get(old, 0) + rows.num_rows
                dropped += rows.num_rows
        return self._stream(kept, dropped)

    def _stream(self, kept: Sequence[tuple[str, pa.Table]], dropped: int) -> _Stream:
        import pyarrow as pa

        if not kept:
            none = np.array([], dtype=np.int64)
            return _Stream(pa.table({}), [], none, none, none, dropped)
        names = [name for name, _ in kept]
        lengths = [table.num_rows for _, table in kept]
        file = np.repeat(np.arange(len(kept)), lengths)
        place = np.concatenate([self._seen.get(name, 0) + 1 + np.arange(table.num_rows) for name, table in kept])
        # A clock that was set back must not bring a later row of a file before an earlier one.
        time = np.concatenate([np.maximum.accumulate(_microseconds(table)) for _, table in kept])
        table = pa.concat_tables([table for _, table in kept])
        return _Stream(table, names, file, place, np.lexsort((place, file, time)), dropped)


def _hour(name: str) -> str:
    return name[: len("2026-11-24T15")]


def _microseconds(table: pa.Table) -> np.ndarray:
    import pyarrow as pa

    return np.asarray(table.column("time").cast(pa.int64()).to_numpy())


def log_of(releases: Releases) -> Path:
    """Folder of the prediction log that the servers of these releases write.

    Raises:
        InputError: the environment turns the log off.
    """
    folder = Settings.from_environment().log_folder
    if not folder:
        raise InputError(
            "The prediction log is off, since GRAFT_LOG_FOLDER is empty: unset it here and for the server."
        )
    return releases.folder / folder


def _judged(table: pa.Table, reference: drift.Reference, labels: Sequence[str]) -> Window:
    place = {label: k for k, label in enumerate(labels)}
    window = drift.Rows(
        np.array(table.column("projection").to_pylist(), dtype=np.float32),
        np.array([place[label] for label in table.column("prediction").to_pylist()]),
        table.column("probability").to_numpy(),
    )
    distances = drift.judge(reference, window)
    since, until = (table.column("time")[i].as_py().isoformat(timespec="seconds") for i in (0, -1))
    return Window(since, until, table.num_rows, distances, drift.alarms(reference, distances))


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
        return (
            f"No drift in {counted(len(look.windows), 'window')} of {look.window_rows} answers by {look.version}.{over}"
        )
    measures = sorted({name for window in look.alarms for name in window.alarms})
    return (
        f"Drift: {len(look.alarms)} of {len(look.windows)} windows of {look.window_rows} answers by {look.version} are "
        f"over the limit by {', '.join(measures)}, the last until {look.alarms[-1].until}.{over}"
    )
