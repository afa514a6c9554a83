"""A tiny project of two phases whose stages are small scripts, for what DVC, git and kills do to any project."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from tasks import versions
from tasks.project.folder import ignore
from tasks.versions import DVC_CONFIG
from tests.projects import REPO

DVC_YAML = """
stages:
  code:
    cmd: exec python -m tasks.fingerprint
    always_changed: true
    outs:
      - code.yaml: {cache: false, persist: true}
  selection:
    cmd: exec python -m toy selection
    deps: [data/raw/rows.csv]
    params: [project.seed, code.yaml: [selection]]
    outs:
      - data/selection/out.txt: {persist: true}
  preparation:
    cmd: exec python -m toy preparation
    deps: [data/selection/out.txt]
    outs:
      - data/preparation/out.txt: {persist: true}
  preparation_gate:
    cmd: exec python -m toy preparation_gate
    deps: [data/preparation/out.txt, setting.txt]
    outs:
      - data/preparation/gate.txt: {persist: true}
"""
# What a stage does stands in mode.txt, which is no dependency: DVC runs a stage that failed again anyway.
TOY = """
import os, subprocess, sys, time
from tasks import stage
from tasks.errors import GateError, InputError
from tasks.stage import outs, read_dvc_yaml

stage.fix_randomness = lambda params: None
name = sys.argv[1]
mode = open("mode.txt").read().split()

def main(s):
    if mode[0] == name:
        if mode[1] == "refuse": raise InputError("The rows are odd: mend them.")
        if mode[1] == "gate": raise GateError("The gate said no.")
        if mode[1] == "crash": raise ValueError("a wrong shape")
        if mode[1] == "die": os._exit(3)
        if mode[1] == "policy": print("threads wait", os.environ.get("OMP_WAIT_POLICY"))
        if mode[1] == "help": subprocess.Popen(["sleep", "60"])
        if mode[1] == "wait":
            print("waiting", flush=True)
            while not os.path.exists("go"): time.sleep(0.05)
        if mode[1] in ("help", "sleep"):
            print("asleep", os.getpid(), flush=True)
            time.sleep(60)
    for out in outs(read_dvc_yaml(s.root)["stages"][name]):
        drawn = os.urandom(9).hex() if mode == ["draw", name] else ""
        rows = dict.fromkeys(open("data/raw/rows.csv"))  # copies are left out
        s.out(out).write_text("".join(rows) + drawn)

stage.run(name, main)
"""


def write_toy(root: Path) -> Path:
    """Its files; neither git nor DVC is there yet."""
    (root / "data/raw").mkdir(parents=True)
    for name, text in {"dvc.yaml": DVC_YAML, "toy.py": TOY, "mode.txt": "none none", "setting.txt": "1"}.items():
        (root / name).write_text(text)
    rows = "".join(f"text {i},{'ab'[i % 2]},email\n" for i in range(80))
    (root / "data/raw/rows.csv").write_text("text,label,channel\n" + rows)
    params = (REPO / "params.yaml").read_text()
    params = re.sub("near_duplicate_similarity: [0-9.]+", "near_duplicate_similarity: null", params)  # one pattern
    (root / "params.yaml").write_text(params.replace("data/raw/support_tickets.csv", "data/raw/rows.csv"))
    return root


def write_versions(root: Path) -> Path:
    """git, DVC with a remote, and a commit of the data as `graft init` makes them."""
    versions.init_git(root)
    files = versions.init_dvc(root)
    versions.add_remote(root, "toy", 0)
    files += [*ignore(root), *versions.track(root, "data/raw/rows.csv")]
    versions.commit(root, [*files, "dvc.yaml", "params.yaml", "toy.py", "mode.txt", "setting.txt"], "Begin")
    return root


def git(root: Path, *arguments: str) -> str:
    return versions.git(root, *arguments).strip()


def write_dvc_config(root: Path) -> None:
    """Without it DVC's search for an update outlives a killed run."""
    (root / ".dvc/config").write_text(DVC_CONFIG)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()
