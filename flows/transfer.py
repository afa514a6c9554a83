"""The transfer flow: selection -> preparation -> adaptation -> deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.states import Completed, State

from tasks import phases

ORDER = (phases.selection, phases.preparation, phases.adaptation, phases.deployment)


@flow(name="transfer", persist_result=False, validate_parameters=False)
def transfer(project: str = ".") -> State[Any]:
    """Bring all four phases of a project up to date; stops at the first that fails and takes over its state.

    Args:
        project: the project's folder.
    """
    return run_phases(Path(project)) or Completed(message="All four phases are up to date.")


def run_phases(root: Path) -> State[Any] | None:
    """Run the phases inside a flow; the state of the first that fails, as that flow's end, None if none does.

    Args:
        root: the project's folder.
    """
    for phase in ORDER:
        state = phase(str(root), return_state=True)
        if not state.is_completed():
            return phases.passed_on(state)
    return None
