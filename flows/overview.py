"""What stands on a Prefect server for a project: what runs when, what ran last, which alarm starts what."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.scheduling import client_of

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

PLAN_SECONDS = 15.0


def overview(url: str, names: list[str]) -> list[dict[str, Any]]:
    """What is known of each deployment, as plain JSON; waits a little for a new one to be planned.

    Args:
        url: of the server.
        names: flow/deployment.

    Returns:
        Per deployment name, schedules, paused, next, last, last_state, automations; times in UTC to the minute.
    """
    with client_of(url) as client:
        deadline = time.monotonic() + PLAN_SECONDS
        while True:
            records = [_record(client, name) for name in names]
            waiting = [one for one in records if one["schedules"] and not one["paused"] and not one["next"]]
            if not waiting or time.monotonic() > deadline:
                return records
            time.sleep(0.5)


def _record(client: SyncPrefectClient, name: str) -> dict[str, Any]:
    deployment = client.read_deployment_by_name(name)
    active = [one.schedule for one in deployment.schedules if one.active]
    planned = _edge(client, deployment.id, {"any_": ["SCHEDULED"]}, "EXPECTED_START_TIME_ASC")
    last = _edge(client, deployment.id, {"not_any_": ["SCHEDULED"]}, "START_TIME_DESC")
    automations = client.read_resource_related_automations(f"prefect.deployment.{deployment.id}")
    return {
        "name": name,
        "schedules": [_schedule_text(one) for one in active],
        "paused": deployment.paused or (bool(deployment.schedules) and not active),
        "next": _minute(planned.expected_start_time) if planned else None,
        "last": _minute(last.start_time or last.expected_start_time) if last else None,
        "last_state": last.state_name if last else None,
        "automations": [one.name for one in automations],
    }


def _edge(
    client: SyncPrefectClient, deployment_id: UUID, state_type: dict[str, list[str]], sort: str
) -> FlowRun | None:
    from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": state_type}}),
        deployment_filter=DeploymentFilter.model_validate({"id": {"any_": [deployment_id]}}),
        sort=FlowRunSort[sort],
        limit=1,
    )
    return runs[0] if runs else None


def _schedule_text(schedule: Any) -> str:
    times = getattr(schedule, "cron", None) or getattr(schedule, "rrule", None) or f"every {schedule.interval}"
    return f"{times} {schedule.timezone or 'UTC'}"


def _minute(when: datetime | None) -> str | None:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if when else None
