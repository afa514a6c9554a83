"""The transfer flow: selection -> preparation -> adaptation -> deployment."""

from __future__ import annotations

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
    for phase in ORDER:
        state = phase(project, return_state=True)
        if not state.is_completed():
            return phases.passed_on(state)
    return Completed(message="All four phases are up to date.")
