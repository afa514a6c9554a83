"""The transfer flow as a schedule runs it: on what is committed, in a worktree of its own, its lock on a branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.states import Completed, State

from flows.transfer import run_phases
from tasks import phases
from tasks.errors import GraftError
from tasks.worktree import scheduled


@flow(name="transfer-scheduled", persist_result=False, validate_parameters=False)
def transfer_on_branch(project: str = ".") -> State[Any]:
    """Bring all four phases of what is committed up to date; the lock goes to a branch, with a tag, the data to DVC.

    Args:
        project: the project's folder in the user's checkout, which stays as it is.
    """
    try:
        with scheduled(Path(project).resolve(), get_run_logger().info) as checkout:
            state = run_phases(checkout.root)
            if state:
                return state
            if checkout.commit([], "Scheduled run of the four phases") is None:
                words = ["All four phases were up to date: nothing was committed."]
                if checkout.tag():  # the last run may have been killed, or without a network, before it had pushed
                    words.append(checkout.push())
                return Completed(name="NothingNew", message=" ".join(words))
            return Completed(message=f"Committed as {checkout.tag()}. {checkout.push()}")
    except GraftError as error:
        return phases.failed(error)
