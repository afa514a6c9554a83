"""The retrain flow: new rows -> a version of the data -> the four phases -> champion or challenger, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, State

from deploy.releases import CHAMPION, releases_of
from flows.promotion import add_and_promote
from flows.transfer import run_phases
from tasks import phases
from tasks.artifacts import read_json, write_json
from tasks.errors import GateError, GraftError
from tasks.manifest import read_manifest
from tasks.params import load
from tasks.receipt import challenge, gate
from tasks.rows import feedback
from tasks.sources.snapshot import Refreshed, refresh
from tasks.words import counted
from tasks.worktree import Checkout, scheduled

BUNDLE = Path(gate.JUDGED["bundle"]).parent
# Committed with each retraining: what was decided, and by which figures.
RECORD = "data/retrain.json"


@flow(name="retrain", persist_result=False, validate_parameters=False)
def retrain(project: str = ".") -> State[Any]:
    """Train on the rows that came since, in a worktree of its own, and promote what is better than the champion.

    Args:
        project: the project's folder.
    """
    try:
        return _retrain(Path(project).resolve())
    except GraftError as error:
        return phases.failed(error)


def _retrain(home: Path) -> State[Any]:
    logger = get_run_logger()
    with scheduled(home, logger.info) as checkout:
        live = _incumbent(home)  # a champion that cannot be compared with is refused before hours are spent
        left = _finish(home, checkout, logger.info)
        params = load(checkout.root / "params.yaml")
        taken = refresh(home, checkout.root, params) if params.source.url else None
        new = feedback.merge(home, checkout.root, params)
        if not new and not (taken and taken.new):
            words = [left or "No labelled rows came since the last retraining.", *([taken.sentence] if taken else [])]
            if checkout.tag():  # the last run may have been killed, or without a network, before it had pushed
                words.append(checkout.push())
            return Completed(name="Promoted" if left else "NothingNew", message=" ".join(words))
        logger.info(f"{counted(new, 'labelled row')} came since the last retraining.")
        files = [*(checkout.adopt(feedback.place(params)) if new else []), *(taken.files if taken else [])]
        if taken:
            logger.info(taken.sentence)
        checkout.set(live)
        state = run_phases(checkout.root)
        if state and state.name != phases.STATE_NAMES["gate"]:
            return state
        record: dict[str, Any] = {"new_rows": new, "new_source": bool(taken and taken.new)} | _decided(
            home, checkout.root, state
        )
        write_json(checkout.root / RECORD, record)
        checkout.commit([RECORD, *files], f"{_title(new, taken)}\n\n{record['sentence']}")
        words = [record["sentence"], f"Committed as {checkout.tag()}.", checkout.push()]
        if record["promote"]:
            move, monitoring = add_and_promote(home, record["sentence"], checkout.root, record["champion"])
            words += [move.sentence, monitoring]
    create_markdown_artifact(key="retrain", markdown="# Retrain\n\n" + "\n\n".join(words), description="Retrain")
    return Completed(name="Promoted" if record["promote"] else "Kept", message=" ".join(words))


def _incumbent(home: Path) -> dict[str, Any]:
    """Leaves of params.yaml by which selection knows what is live, as far as the champion's bundle says it.

    Raises:
        InputError: the champion's manifest cannot be read.
    """
    releases = releases_of(home)
    made_from = read_manifest(releases.path_of()).made_from if releases.current() else {}
    return {f"selection.incumbent.{name}": made_from.get(name) for name in ("source", "revision", "depth", "pool")}


def _title(new: int, taken: Refreshed | None) -> str:
    renewed = taken is not None and taken.new
    return f"Retrain on {counted(new, 'new row')}{' and a new snapshot' if renewed else ''}"


def _decided(home: Path, root: Path, gate_said: State[Any] | None) -> dict[str, Any]:
    """Which model answers from now on, and why."""
    releases = releases_of(home)
    champion, challenger = releases.current(), read_manifest(root / BUNDLE).version
    record: dict[str, Any] = {"champion": champion, "challenger": challenger, "promote": False, "groups": None}
    if gate_said:
        done = "Kept the champion" if champion else "Promoted nothing"
        return record | {"sentence": f"{done}: {gate_said.message}"}
    if champion is None:
        return record | {"promote": True, "sentence": "Promoted the first model: there was no champion."}
    params = load(root / "params.yaml")
    return record | challenge.between(root, params, releases.path_of(champion), root / BUNDLE)


def _finish(home: Path, checkout: Checkout, log: Callable[[str], None]) -> str | None:
    """Promote what a retraining had decided for when it was killed; what it said then stands in its commit."""
    path = checkout.root / RECORD
    record: dict[str, Any] = read_json(path) if path.is_file() else {"promote": False}
    if not record["promote"]:
        return None
    releases = releases_of(home)
    moves = [move for move in releases.history() if move["alias"] == CHAMPION]
    moved = any(move["to"] == record["challenger"] for move in moves)
    whole = (checkout.root / gate.JUDGED["bundle"]).is_file()
    if moved or releases.current() != record["champion"] or not whole:
        return None
    if read_manifest(checkout.root / BUNDLE).version != record["challenger"]:
        return None
    try:
        move, _ = add_and_promote(home, record["sentence"], checkout.root, record["champion"])
    except GateError as error:  # asked otherwise since: the next rows decide, and no schedule fails until then
        log(f"What the last retraining had decided is not finished: {error}")
        return None
    left = f"Finished what the last retraining had decided. {move.sentence}"
    log(left)
    return left
