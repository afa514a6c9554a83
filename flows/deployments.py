"""`deploy/prefect.yaml`, filled in and applied by Prefect's client: one of each, however often it is done.

`prefect deploy` takes the same file, but six seconds, and makes each automation anew, which forgets that it has just
fired: a retrain that promotes would end the cool-down that keeps the next alarm from starting another.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flows.background import HOUSE
from tasks.errors import InputError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

FILE = "deploy/prefect.yaml"
POOL = "graft"
POOL_TYPE = "process"
QUEUE = "default"  # which each pool has
FOLDER = "project"
TAG = "graft"
MOST = 200  # rows of one answer, which is what a server allows
VARIABLE = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")
# What Graft applies. Building and pushing images is left to `prefect deploy`.
TOP = {"name", "prefect-version", "definitions", "deployments", "pull"}
KEYS = {
    "name", "entrypoint", "description", "parameters", "tags", "version", "work_pool", "schedules", "concurrency_limit",
    "triggers", "paused", "pull", "enforce_parameter_schema",
}  # fmt: skip
POOL_KEYS = {"name", "work_queue_name", "job_variables"}
BESIDE_THE_TIMES = {"active", "slug", "parameters"}


def file_of(root: Path) -> Path:
    """The project's own file, or the house's."""
    own = root / FILE
    return own if own.is_file() else HOUSE / FILE


def read(root: Path, name: str) -> list[dict[str, Any]]:
    """The deployments that the file names, filled in.

    Args:
        root: the project's folder, for {{ $GRAFT_PROJECT_FOLDER }}.
        name: the project's name, for {{ $GRAFT_PROJECT }}.

    Raises:
        InputError: no YAML, a key that Graft does not apply, another variable.
    """
    path = file_of(root)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is no YAML in UTF-8 ({str(error).splitlines()[0]}): correct it.") from None
    _refuse_unknown(path, tree, TOP)
    known = {"GRAFT_PROJECT": name, "GRAFT_PROJECT_FOLDER": str(root)}
    deployments = []
    for entry in _listed(path, tree, "deployments"):
        _refuse_unknown(path, entry, KEYS)
        _refuse_unknown(path, entry.get("work_pool") or {}, POOL_KEYS)
        _refuse_unfit(path, entry)
        deployments.append(_filled({"pull": tree.get("pull")} | entry, known, path))
    return deployments


def _refuse_no_table(path: Path, entry: Any) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"{path}: {str(entry)[:60]!r} stands where key and value belong: correct it.")


def _refuse_unknown(path: Path, entry: Any, known: set[str]) -> None:
    _refuse_no_table(path, entry)
    unknown = sorted(str(key) for key, value in entry.items() if key not in known and value)
    if unknown:
        raise InputError(
            f"{path} has {', '.join(unknown)}, which Graft does not apply (it does {', '.join(sorted(known))}): remove "
            "it, or use `prefect deploy --all --prefect-file` for this file."
        )


def _listed(path: Path, entry: dict[str, Any], key: str) -> list[Any]:
    value = entry.get(key) or []
    if not isinstance(value, list):
        raise InputError(f"{path}: {key} is no list: write it as one.")
    return value


def _refuse_unfit(path: Path, entry: dict[str, Any]) -> None:
    lists = (_listed(path, entry, key) for key in ("schedules", "triggers"))
    for one in (entry.get("parameters") or {}, *chain.from_iterable(lists)):
        _refuse_no_table(path, one)
    limit = entry.get("concurrency_limit")
    lacking = [key for key in ("name", "entrypoint") if not entry.get(key)]
    lacking += ["limit in its concurrency_limit"] if isinstance(limit, dict) and not limit.get("limit") else []
    if lacking:
        raise InputError(f"{path}: a deployment has no {' and no '.join(lacking)}: write it.")


def _filled(value: Any, known: dict[str, str], path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, known, path) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, known, path) for one in value]
    if not isinstance(value, str):
        return value
    foreign = set(VARIABLE.findall(value)) - set(known)
    if foreign:
        raise InputError(f"{path} names ${min(foreign)}: Graft fills in only {', '.join(f'${one}' for one in known)}.")
    return VARIABLE.sub(lambda match: known[match[1]], value)


def apply(client: SyncPrefectClient, root: Path, name: str) -> list[str]:
    """Bring pool, deployments and automations on a Prefect server to what the file says; delete what it does not name.

    Returns:
        Full names of the deployments, flow/deployment, in the order of the file.

    Raises:
        InputError: the file cannot be used, or a deployment of that name belongs to another folder.
    """
    applied = dict(_apply_one(client, entry, root) for entry in read(root, name))
    _delete_others(client, root, set(applied.values()))
    return list(applied)


def _delete_others(client: SyncPrefectClient, root: Path, named: set[UUID]) -> None:
    """What left the file, or stands under a name that the project had before, would go on starting runs."""
    from prefect.client.schemas.filters import DeploymentFilter
    from prefect.exceptions import ObjectNotFound

    tagged = DeploymentFilter.model_validate({"tags": {"all_": [TAG]}})
    found: list[DeploymentResponse] = []
    while page := client.read_deployments(deployment_filter=tagged, limit=MOST, offset=len(found)):
        found += page
    for there in found:
        if there.parameters.get(FOLDER) == str(root) and there.id not in named:
            _apply_triggers(client, there.id, there.name, [])
            with suppress(ObjectNotFound):  # deleted by another command, a moment ago
                client.delete_deployment(there.id)


def _apply_one(client: SyncPrefectClient, entry: dict[str, Any], root: Path) -> tuple[str, UUID]:
    """Full name and id of the deployment."""
    from prefect.flows import load_flow_from_entrypoint
    from pydantic import ValidationError

    try:
        flow = load_flow_from_entrypoint(entry["entrypoint"], use_placeholder_flow=False)
    except Exception as error:
        raise InputError(f"{FILE}: no flow can be imported from {entry['entrypoint']} ({error}): correct it.") from None
    full_name = f"{flow.name}/{entry['name']}"
    there = _there(client, full_name)
    if there:
        _refuse_of_another_folder(there, full_name, entry, root)
    try:
        wanted = _wanted(entry, flow, there)
        # What is unchanged stays as it is: a deployment made anew loses the runs that are planned, for some seconds.
        if there and not _differs(wanted, there):
            deployment_id = there.id
        else:
            _ensure_pool(client, wanted["work_pool_name"])
            deployment_id = client.create_deployment(client.create_flow_from_name(flow.name), entry["name"], **wanted)
        _apply_triggers(client, deployment_id, full_name, entry.get("triggers") or [])
    except ValidationError as error:
        where, what = ".".join(map(str, error.errors()[0]["loc"])), error.errors()[0]["msg"]
        raise InputError(f"{FILE}: Prefect does not take {full_name} ({where}: {what}): correct it.") from None
    return full_name, deployment_id


def _wanted(entry: dict[str, Any], flow: Any, there: DeploymentResponse | None) -> dict[str, Any]:
    """Arguments of the client's `create_deployment`."""
    from prefect.client.schemas.objects import ConcurrencyOptions
    from prefect.utilities.callables import parameter_schema

    entry = {key: value for key, value in entry.items() if value is not None}
    pool, limit = entry.get("work_pool", {}), entry.get("concurrency_limit")
    options = {key: value for key, value in limit.items() if key != "limit"} if isinstance(limit, dict) else None
    return {
        "entrypoint": entry["entrypoint"],
        "description": entry.get("description", ""),  # of None the server makes the word
        "version": entry.get("version"),
        "enforce_parameter_schema": entry.get("enforce_parameter_schema", True),
        "schedules": [_schedule(one, there) for one in entry.get("schedules", [])],
        "concurrency_limit": limit["limit"] if isinstance(limit, dict) else limit,
        "concurrency_options": ConcurrencyOptions.model_validate(options) if options else None,
        "parameters": entry.get("parameters", {}),
        "work_pool_name": pool.get("name") or POOL,
        "work_queue_name": pool.get("work_queue_name") or QUEUE,
        "job_variables": pool.get("job_variables") or {},
        "tags": entry.get("tags", []),
        "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
        "paused": entry.get("paused", there.paused if there else False),
        "pull_steps": entry.get("pull", []),
    }


def _differs(wanted: dict[str, Any], there: DeploymentResponse) -> bool:
    limit, options = there.global_concurrency_limit, there.concurrency_options
    on_server = {key: getattr(there, key, None) for key in wanted if key != "concurrency_limit"} | {
        "concurrency_limit": limit.limit if limit else None,
        "concurrency_options": options.model_dump() if options else None,
        "schedules": [(one.schedule, one.active, one.parameters, one.slug) for one in there.schedules],
    }
    asked = wanted | {
        "concurrency_options": wanted["concurrency_options"] and wanted["concurrency_options"].model_dump(),
        "schedules": [(one.schedule, one.active, one.parameters, one.slug) for one in wanted["schedules"]],
    }
    # None, an empty list and an empty table say the same.
    return any(value != on_server[key] and (value or on_server[key]) for key, value in asked.items())


def _there(client: SyncPrefectClient, full_name: str) -> DeploymentResponse | None:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        return None


def _schedule(entry: dict[str, Any], there: DeploymentResponse | None) -> Any:
    """What somebody paused on Prefect's page stays paused, unless the file says `active`."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    beside = {key: value for key, value in entry.items() if key in BESIDE_THE_TIMES}
    times = {key: value for key, value in entry.items() if key not in BESIDE_THE_TIMES}
    made = DeploymentScheduleCreate.model_validate({"schedule": times, **beside})
    paused = [one.schedule for one in there.schedules if not one.active] if there else []
    if "active" not in entry and made.schedule in paused:
        made.active = False
    return made


def _refuse_of_another_folder(there: DeploymentResponse, full_name: str, entry: dict[str, Any], root: Path) -> None:
    """Two projects of one name would take each other's schedule over, silently."""
    folder = there.parameters.get(FOLDER)
    if folder and folder != (entry.get("parameters") or {}).get(FOLDER) and (Path(folder) / "params.yaml").is_file():
        raise InputError(
            f"{full_name} on this Prefect server is the schedule of the project in {folder}: give one of the two "
            f"another project.name in params.yaml; this one lies in {root}."
        )


def _ensure_pool(client: SyncPrefectClient, name: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        with suppress(ObjectAlreadyExists):  # made for another project, a moment ago
            client.create_work_pool(WorkPoolCreate(name=name, type=POOL_TYPE))


def _apply_triggers(client: SyncPrefectClient, deployment_id: UUID, full_name: str, specs: list[Any]) -> None:
    """Automations of one deployment: what is unchanged stays, with the cool-down that runs."""
    from prefect.events import DeploymentTriggerTypes
    from pydantic import TypeAdapter

    wanted = {}
    for number, spec in enumerate(specs, 1):
        trigger = TypeAdapter(DeploymentTriggerTypes).validate_python({"name": f"{full_name} {number}"} | spec)
        trigger.set_deployment_id(deployment_id)
        automation = trigger.as_automation()
        automation.tags = [TAG]  # the server keeps an automation's owner to itself
        wanted[automation.name] = automation
    for there in client.read_resource_related_automations(f"prefect.deployment.{deployment_id}"):
        automation = wanted.pop(there.name, None)
        if automation and _comparable(automation) != _comparable(there):
            automation.model_fields_set.discard("owner_resource")  # which a change must not name
            client.update_automation(there.id, automation)
        elif not automation and TAG in there.tags:
            client.delete_automation(there.id)
    for automation in wanted.values():
        client.create_automation(automation)


def _comparable(automation: Any) -> Any:
    return automation.model_dump(
        mode="json", exclude={"id": True, "enabled": True, "owner_resource": True, "trigger": {"id"}}
    )
