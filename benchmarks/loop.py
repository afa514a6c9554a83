"""The loop closed once, with real parts: traffic, drift, alarm, retraining, promotion, rollback; prints its timeline.

A project is made of the demo's e-mails, a fifth of which are kept back as traffic. Beside it run a Prefect server, a
worker, `graft serve`, and clients that never stop asking. Nothing is stubbed, and every wait is for something that is
looked for, up to a deadline. Takes about 15 minutes on 2 cores.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy import predictions

HOUSE = Path(__file__).resolve().parents[1]
GRAFT = str(Path(sys.executable).with_name("graft"))
URL = "http://127.0.0.1:8766"
QUIET_WINDOWS, FEEDBACK_ROWS, CLIENTS = 20, 200, 2
STARTED = time.monotonic()
Row = dict[str, str]


def say(what: str) -> None:
    """One line of the timeline."""
    seconds = int(time.monotonic() - STARTED)
    print(f"| {seconds // 60}:{seconds % 60:02d} | {what} |", flush=True)


def until(what: str, found: Callable[[], Any], seconds: float = 900) -> Any:
    """Wait for something, and fail loudly if it does not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.5)
    raise TimeoutError(f"{what} did not come in {seconds:.0f} s")


def graft(project: Path, *words: str, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """Run a command of Graft in the project."""
    done = subprocess.run([GRAFT, *words], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"graft {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def write(path: Path, rows: list[Row]) -> Path:
    """Rows as a CSV of text and label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def demo_rows() -> dict[str, list[Row]]:
    """The demo's messages by channel, in an order of their own; those without a text or with a rare label left out."""
    with (HOUSE / "data/raw/support_tickets.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["text"].strip()]
    random.Random(13).shuffle(rows)
    emails = [row for row in rows if row["channel"] == "email"]
    known = {label for label, count in Counter(row["label"] for row in emails).items() if count >= 10}
    return {"email": emails, "chat": [row for row in rows if row["channel"] == "chat" and row["label"] in known]}


class Traffic:
    """Clients that ask one text after another until they are stopped.

    The texts are gone through in ever new orders: drawn with repeats, a window would hold fewer different ones than a
    window of real messages does.
    """

    def __init__(self, texts: list[str]) -> None:
        self.texts, self.stopping = texts, threading.Event()
        self.answers: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        self._drawn, self._left, self._lock = random.Random(13), iter(()), threading.Lock()

    def turn_to(self, texts: list[str]) -> None:
        """Ask these from now on."""
        with self._lock:
            self.texts, self._left = texts, iter(())

    def _next(self) -> str:
        with self._lock:
            text: str | None = next(self._left, None)
            if text is None:
                self._left = iter(self._drawn.sample(self.texts, len(self.texts)))
                text = next(self._left)
            return text

    def _ask(self) -> None:
        with httpx.Client(base_url=URL, timeout=30) as client:
            while not self.stopping.is_set():
                try:
                    answer = client.post("/predict", json={"inputs": [self._next()]})
                except httpx.HTTPError as error:
                    self.failed[type(error).__name__] += 1
                    continue
                if answer.status_code == 200:
                    self.answers[answer.json()["version"]] += 1
                else:
                    self.failed[str(answer.status_code)] += 1
                time.sleep(0.1)

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    def answered(self, more: int) -> None:
        """Wait until so many more requests were answered."""
        target = self.total + more
        until(f"answer {target}", lambda: self.total >= target, seconds=300)


@contextmanager
def serving(project: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`graft serve` in the project, ready."""
    environment = os.environ | {"GRAFT_LOG_SECONDS": "0.5"}
    with (project / ".graft/serve.log").open("wb") as log:
        server = subprocess.Popen([GRAFT, "serve", "--port", URL[-4:]], cwd=project, env=environment, stdout=log)
    try:
        until("the server", lambda: _status("/readyz") == 200, seconds=60)
        yield server
    finally:
        server.terminate()
        server.wait(timeout=60)


def _status(path: str) -> int:
    try:
        return httpx.get(URL + path, timeout=5).status_code
    except httpx.HTTPError:
        return 0


@contextmanager
def asking(texts: list[str]) -> Iterator[Traffic]:
    """Clients that ask."""
    traffic = Traffic(texts)
    for thread in traffic.threads:
        thread.start()
    try:
        yield traffic
    finally:
        traffic.stopping.set()
        for thread in traffic.threads:
            thread.join()


def without_clock(project: Path) -> None:
    """The house's schedules, none by the clock and with a short cool-down: only this script and alarms start runs."""
    tree = yaml.safe_load((HOUSE / "deploy/prefect.yaml").read_text(encoding="utf-8"))
    for deployment in tree["deployments"]:
        for entry in deployment["schedules"]:
            entry["active"] = False
        for trigger in deployment.get("triggers", []):
            trigger["within"] = 30  # a false alarm among the quiet windows must not hold back the real one for hours
    (project / "deploy").mkdir()
    (project / "deploy/prefect.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def monitored(name: str) -> str:
    """Let the worker run the monitor's deployment; the name of the state it ends in."""
    from prefect.deployments import run_deployment

    run: Any = run_deployment(f"monitor/{name}", timeout=300, poll_interval=1)
    return str(run.state.name)


def retrainings(name: str) -> list[Any]:
    """Runs of the retraining's deployment."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"retrain/{name}")
        answer = client.request(
            "POST", "/flow_runs/filter", json={"deployments": {"id": {"any_": [str(deployment.id)]}}}
        )
    return list(answer.json())


def logged(project: Path, rows: int) -> None:
    """Wait until the prediction log has so many answers."""

    def there() -> bool:
        log = predictions.read(project / "releases/predictions", ("row",))
        return sum(table.num_rows for _, table in log) >= rows

    until(f"answer {rows} in the log", there, seconds=60)


def accuracy(project: Path, version: str, rows: Path) -> float:
    """Of one release, on rows that no training has seen."""
    done = graft(project, "predict", str(rows), "--release", version, "-o", str(rows.with_suffix(".out.csv")), "--json")
    return float(json.loads(done.stderr)["accuracy"])


def main() -> None:
    """Print the timeline as a table."""
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True)
    project, rows = place / "support", demo_rows()
    kept_back = len(rows["email"]) // 5
    files = {
        "email": write(place / "later-email.csv", rows["email"][:kept_back]),
        "chat": write(place / "later-chat.csv", rows["chat"][FEEDBACK_ROWS:]),
        "feedback": write(place / "feedback.csv", rows["chat"][:FEEDBACK_ROWS]),
    }
    graft(place, "init", str(project), "--data", str(write(place / "emails.csv", rows["email"][kept_back:])))
    say(f"`graft init` with {len(rows['email']) - kept_back} e-mails; {kept_back} are kept back as traffic")
    graft(project, "run", "--promote")
    first = graft(project, "history").stdout.split("-> ")[1][:12]
    say(f"`graft run --promote`: version 1 is {first}")
    without_clock(project)
    subprocess.run(["git", "add", "dvc.lock", "code.yaml", "deploy"], cwd=project, check=True)
    subprocess.run(["git", "commit", "-qm", "The first run"], cwd=project, check=True)
    up = json.loads(graft(project, "up", "--json").stdout)
    os.environ |= {"PREFECT_API_URL": up["url"], "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    say("`graft up`: Prefect server, worker, three deployments, the automation")
    try:
        with serving(project), asking([row["text"] for row in rows["email"][:kept_back]]) as traffic:
            _loop(project, rows, files, first, traffic)
    finally:
        graft(project, "stop")
    print(graft(project, "history").stdout)
    print(subprocess.run(["git", "log", "--oneline", "--all"], cwd=project, capture_output=True, text=True).stdout)
    print(subprocess.run(["git", "status", "--short"], cwd=project, capture_output=True, text=True).stdout or "clean")


def _loop(project: Path, rows: dict[str, list[Row]], files: dict[str, Path], first: str, traffic: Traffic) -> None:
    name = project.name
    window = json.loads(graft(project, "monitor", "--json", codes=(0, 1)).stdout)["window_rows"]
    traffic.answered(QUIET_WINDOWS * window)
    logged(project, QUIET_WINDOWS * window)
    quiet = json.loads(graft(project, "monitor", "--json", codes=(0, 1)).stdout)["windows"][:QUIET_WINDOWS]
    say(f"e-mail traffic: {sum(bool(w['alarms']) for w in quiet)} of {len(quiet)} windows of {window} answers alarmed")
    graft(project, "feedback", str(files["feedback"]))
    say(f"`graft feedback`: {FEEDBACK_ROWS} labelled chats")
    traffic.turn_to([row["text"] for row in rows["chat"][FEEDBACK_ROWS:]])
    for number in range(1, 9):
        traffic.answered(window + CLIENTS)
        logged(project, traffic.total)
        state = monitored(name)
        say(f"chat traffic, window {number}: the monitor's run ended as {state}")
        if state == "Drift":
            break
    started = until("the automation", lambda: retrainings(name), seconds=120)
    say(f"the automation started {len(started)} retraining, {started[0]['name']}")
    ended = until("the retraining", lambda: [run for run in retrainings(name) if run["state"]["type"] not in BUSY])
    say(f"the retraining ended as {ended[0]['state']['name']}: {ended[0]['state']['message']}")
    second = until("version 2", lambda: next((version for version in traffic.answers if version != first), None), 60)
    say(f"the running server answers with version 2, {second}")
    for channel in ("chat", "email"):
        scores = [f"{100 * accuracy(project, version, files[channel]):.1f} %" for version in (first, second)]
        say(f"accuracy on {channel} that no model has learned from: {scores[0]} by version 1, {scores[1]} by version 2")
    graft(project, "rollback")
    before = traffic.answers[first]
    until("version 1", lambda: traffic.answers[first] > before, seconds=60)
    say("`graft rollback`: the running server answers with version 1 again")
    say(f"{traffic.total} requests answered, {sum(traffic.failed.values())} lost {dict(traffic.failed) or ''}")


BUSY = {"SCHEDULED", "PENDING", "RUNNING", "CANCELLING"}


if __name__ == "__main__":
    main()
