"""A phase -> its DVC stages -> a record of what ran. Beside `versions`, the only module that knows DVC."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tasks import fingerprint
from tasks.artifacts import read_json, sha256_file, write_text
from tasks.errors import BY_OUTCOME, NO_ROOM_TEXT, BusyError, CrashError, GraftError, InputError, InterruptError
from tasks.stage import STATE, die_with_parent, one_writer, outs, read_dvc_yaml
from tasks.staleness import why

PHASES = ("selection", "preparation", "adaptation", "deployment")
CODE = "code"
KEPT_LINES = 40
# What dvc advises a person at a prompt to do next.
ADVICE = re.compile(r"^(To (track|enable)|\s+(git add|dvc config)|Use `dvc push`|(Generating|Updating) lock file|> )")
RAN = re.compile(r"^Running stage '([^']+)'")
HELD = "A run or another DVC command holds this project: wait for it to end and run again."


@dataclass
class Record:
    """What one call ran.

    Attributes:
        ran: stages that ran, in order.
        fresh: stages that were up to date.
        seconds: stage -> seconds, for those that ran.
    """

    ran: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def stages_of(root: Path, phase: str) -> list[str]:
    """Stages of a phase in the order of dvc.yaml."""
    return [name for name in read_dvc_yaml(root)["stages"] if name.split("_")[0] == phase]


def stale(root: Path) -> dict[str, str]:
    """Stage -> why it would run; stages that only follow a stale one are named with it."""
    from dvc.repo import Repo

    locked, stages = _locked_stages(root), read_dvc_yaml(root)["stages"]
    fingerprint.write(root)
    try:
        with Repo(str(root)) as repo:
            changed: dict[str, Any] = repo.status()
    except Exception as error:  # dvc raises a tree of its own that has no stable root
        if "lock" in type(error).__name__.lower():
            raise BusyError(HELD) from None
        said = (str(error).splitlines() or [type(error).__name__])[0]
        if NO_ROOM_TEXT.search(said) or "disk I/O" in said:
            raise InputError(f"DVC could not write its own state ({said}): free the space and run again.") from None
        raise InputError(f"DVC cannot read this project ({said}): correct dvc.yaml.") from None
    # DVC names a stage by its dvc.yaml too when the current folder is not the project's.
    named = {name.rpartition(":")[2]: entries for name, entries in changed.items()}
    reasons = {name: why(entries, name in locked) for name, entries in named.items() if name != CODE}
    return _with_followers(stages, reasons)


def _with_followers(stages: dict[str, Any], reasons: dict[str, str]) -> dict[str, str]:
    result: dict[str, str] = {}
    made: dict[str, str] = {}
    for name, stage in stages.items():
        before = next((made[dep] for dep in stage.get("deps", []) if dep in made), None)
        if name in reasons or before:
            result[name] = reasons.get(name) or f"follows {before}"
            made |= dict.fromkeys(outs(stage), name)
    return result


def unfinished(root: Path) -> list[str]:
    """Stages that have not run since what they read was made anew, or never did, and their followers, by dvc.lock.

    A run that was cut off leaves some, and so does one that is under way; no file is hashed. Without a dvc.lock nothing
    is known of any run.
    """
    locked, stages = _locked_stages(root), read_dvc_yaml(root)["stages"]
    made = {out["path"]: out.get("md5") for name in stages for out in locked.get(name, {}).get("outs", [])}

    def is_behind(name: str) -> bool:
        read = locked.get(name, {}).get("deps", [])
        return name not in locked or any(made.get(dep["path"], dep.get("md5")) != dep.get("md5") for dep in read)

    behind = {name: "behind" for name in stages if name != CODE and is_behind(name)}
    return [*_with_followers(stages, behind)] if locked else []


def reproduce(root: Path, phase: str, log: Callable[[str], None], remembered: bool = True) -> Record:
    """Bring the stages of one phase up to date, and what they depend on.

    Args:
        root: the project's folder.
        phase: a row of `PHASES`.
        log: receives every line the stages print.
        remembered: whether a stage may be answered by DVC's memory of an equal run that dvc.lock has not.

    Raises:
        InputError, GateError, InterruptError, CrashError: as the stage's outcome says.
    """
    names = stages_of(root, phase)
    with one_writer(root / STATE / "run.lock"):
        for name in names:
            (root / STATE / "outcome" / f"{name}.json").unlink(missing_ok=True)
        if Path("/proc/self").exists():
            _forget_the_dead(root)
        code, lines = _dvc(["repro", *([] if remembered else ["--no-run-cache"]), *names], root, log)
    record = Record(ran=[match[1] for line in lines if (match := RAN.match(line)) and match[1] in names])
    record.fresh = [name for name in names if name not in record.ran]
    outcomes = {name: path for name in record.ran if (path := root / STATE / "outcome" / f"{name}.json").is_file()}
    record.seconds = {name: read_json(path)["seconds"] for name, path in outcomes.items()}
    if code != 0:
        raise _error(record.ran, outcomes, lines, phase)
    return record


def _forget_the_dead(root: Path) -> None:
    """Drop from DVC's lock what killed runs still hold there.

    DVC takes any process with the number of the holder for the holder: a zombie, which stays where a container has no
    init process, and whoever got the number since.
    """
    path = root / ".dvc/tmp/rwlock"
    try:
        locks = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    write = {place: holder for place, holder in locks.get("write", {}).items() if _runs_dvc(holder["pid"])}
    read = {place: [one for one in held if _runs_dvc(one["pid"])] for place, held in locks.get("read", {}).items()}
    write_text(path, json.dumps({"write": write, "read": {place: held for place, held in read.items() if held}}))


def _runs_dvc(pid: int) -> bool:
    try:
        if Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z":
            return False
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # Empty while a process starts, which may become dvc.
    return not command or b"dvc" in command or b"tasks.reproduce" in command


def _error(ran: list[str], outcomes: dict[str, Path], lines: list[str], phase: str) -> GraftError:
    last = outcomes.get(ran[-1]) if ran else None
    outcome = read_json(last) if last else {"state": "none"}
    if outcome["state"] in BY_OUTCOME:
        return BY_OUTCOME[outcome["state"]](outcome["sentences"])
    said = next((line for line in reversed(lines) if line.startswith("ERROR")), "").removeprefix("ERROR: ")
    if NO_ROOM_TEXT.search(said):
        return InputError(f"DVC could not store the outputs of {phase} ({said[:200]}): free the space and run again.")
    if "is busy" in said or "acquire lock" in said:
        return BusyError(HELD)
    return CrashError(f"Phase {phase} ended without an outcome ({said[:300] or 'killed'}): run again to complete it.")


def dvc(root: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run another command of DVC: its exit code, and the last lines it printed. It dies with this process."""
    return _dvc([*arguments], root, lambda line: None)


def _dvc(arguments: list[str], root: Path, log: Callable[[str], None]) -> tuple[int, list[str]]:
    """Run dvc in a session of its own, so that its whole group can be ended; it dies with this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks.reproduce", *arguments],
        cwd=root,
        env=_environment(),
        text=True,
        errors="replace",
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    ran: list[str] = []
    assert process.stdout is not None
    try:
        with process.stdout:
            for line in process.stdout:
                text = line.rstrip()
                (ran if RAN.match(text) else kept).append(text)
                if text and not ADVICE.match(text):
                    log(text)
        return process.wait(), ran + list(kept)
    except BaseException as error:
        _end(process)
        if isinstance(error, KeyboardInterrupt):
            raise InterruptError("The run was interrupted: nothing is half written; run again to complete.") from None
        raise


def _end(process: subprocess.Popen[str]) -> None:
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(timeout=3)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    process.wait()


def _environment() -> dict[str, str]:
    house = str(fingerprint.HOUSE)
    inherited = os.environ.get("PYTHONPATH")
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": f"{house}{os.pathsep}{inherited}" if inherited else house,
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
        # Threads that wait for others sleep: spinning, two runs on one machine take the processors from each other.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }


def last_ran(root: Path) -> list[str]:
    """Stages that the last run of all phases ran, sorted."""
    return sorted(path.stem for path in (root / STATE / "outcome").glob("*.json"))


def last_seconds(root: Path) -> dict[str, float]:
    """Stage -> seconds of its last whole run in this project."""
    paths = [root / "data" / phase / "run.json" for phase in PHASES]
    return {name: run["seconds"] for path in paths if path.is_file() for name, run in read_json(path).items()}


def is_locked(root: Path, path: str) -> bool:
    """Whether dvc.lock names this file, an output of a stage, as it stands."""
    file = root / path
    if not file.is_file():
        return False
    named = {out["path"]: out.get("md5") for stage in _locked_stages(root).values() for out in stage.get("outs", [])}
    return named.get(path) == hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def _locked_stages(root: Path) -> dict[str, Any]:
    lock = root / "dvc.lock"
    try:
        stages: dict[str, Any] = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"] if lock.is_file() else {}
    except (UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError):
        raise InputError(
            "dvc.lock cannot be read: resolve the conflicts of a merge in it, or let `git checkout HEAD dvc.lock` "
            "bring back the last one."
        ) from None
    return stages


def lineage(root: Path) -> dict[str, Any]:
    """Commit, whether the tree differs from it, and the hash of dvc.lock: for the release history."""

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    lock = root / "dvc.lock"
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "lock_hash": sha256_file(lock) if lock.is_file() else None,
    }


if __name__ == "__main__":
    die_with_parent()
    from dvc.cli import main

    sys.exit(main(sys.argv[1:]))
