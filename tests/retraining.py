"""A project with a champion, with stand-ins for the worktree and the phases: what tests of retrainings share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect.states import State

from deploy.releases import Releases
from flows import retrain as retraining
from tasks.artifacts import read_json, write_json
from tasks.manifest import read_manifest
from tasks.params import load
from tasks.project.template import with_values
from tasks.receipt import challenge, gate
from tasks.rows import feedback
from tests.bundles import tiny_bundle
from tests.factories import REPO, write_lock


@dataclass
class Checkout:
    """Stands in for a worktree: remembers what was committed."""

    root: Path
    commits: list[tuple[Sequence[str], str]] = field(default_factory=list)
    pushed: int = 0

    def adopt(self, place: str) -> list[str]:
        params = self.root / "params.yaml"
        params.write_text(with_values(params.read_text(), {"data.feedback": place}))
        return [place]

    def set(self, values: Mapping[str, Any]) -> None:
        params = self.root / "params.yaml"
        params.write_text(with_values(params.read_text(), values))

    def commit(self, paths: Sequence[str], message: str) -> str:
        assert all((self.root / path).exists() for path in paths)
        self.commits.append((paths, message))
        return "c0ffee"

    def tag(self) -> str | None:
        return f"graft/run-{len(self.commits):04d}" if self.commits else None

    def push(self) -> str:
        self.pushed += 1
        return "Pushed."


class House:
    """A project with a champion, whose phases make another tiny bundle each time they run."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = folder / "home"
        self.checkout = Checkout(folder / "checkout")
        for root in (self.home, self.checkout.root):
            root.mkdir()
            shutil.copy(REPO / "params.yaml", root)
        shutil.copytree(REPO / "data/raw", self.checkout.root / "data/raw")
        self.releases = Releases(self.home / "releases")
        self.champion = self.releases.add(tiny_bundle(folder / "bundle"))
        self.releases.promote(self.champion, "test", {})
        self.runs = 0
        self.failure: State[Any] | None = None
        self.promote = self.expects_feedback = True
        monkeypatch.setattr(retraining, "scheduled", self.scheduled)
        monkeypatch.setattr(retraining, "run_phases", self.run_phases)
        self.compare = self.between
        monkeypatch.setattr(challenge, "between", lambda *given: self.compare(*given))

    @contextmanager
    def scheduled(self, home: Path, log: Callable[[str], None]) -> Iterator[Checkout]:
        assert home == self.home
        yield self.checkout

    def run_phases(self, root: Path) -> State[Any] | None:
        if self.expects_feedback:
            assert load(root / "params.yaml").data.feedback == feedback.TABLE and (root / feedback.TABLE).is_file()
        self.runs += 1
        bundle = root / retraining.BUNDLE
        shutil.rmtree(bundle, ignore_errors=True)
        tiny_bundle(bundle, project=f"p{self.runs}")
        for name in ("chain", "server", "receipt"):
            write_json(root / gate.JUDGED[name], {"run": self.runs})
        if not self.failure:
            write_json(root / gate.RECORD, gate.judged(root, load(root / "params.yaml").receipt))
            write_lock(root, gate.RECORD)
        return self.failure

    def between(self, root: Path, params: object, champion: Path, challenger: Path) -> dict[str, Any]:
        assert champion.name == self.champion and challenger == root / retraining.BUNDLE
        sentence = "Promoted, for it is better." if self.promote else "Kept, for it is not."
        return {"metric": "accuracy", "promote": self.promote, "sentence": sentence, "groups": {}}

    def give(self, *texts: str) -> None:
        feedback.take(self.home, load(self.home / "params.yaml"), [(text, "delivery") for text in texts], self.home)

    def run(self) -> State[Any]:
        state: State[Any] = retraining.retrain(str(self.home), return_state=True)
        return state

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.checkout.root / retraining.RECORD)
        return found

    @property
    def made(self) -> str:
        return read_manifest(self.checkout.root / retraining.BUNDLE).version


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)
