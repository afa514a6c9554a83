"""Schemathesis for longer than the test has it: python -m benchmarks.openapi [EXAMPLES]"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import load
from tests.serving import released


def main(examples: int = 1000) -> int:
    """Ask a real server of the tiny bundle, with all of schemathesis' checks; its exit code."""
    port = load.free_port()
    with tempfile.TemporaryDirectory() as place:
        line, environment = load.graft(released(Path(place)), port, GRAFT_LOG_FOLDER="")
        with load.process(line, port, b'{"inputs": ["good"]}', **environment):
            command = ["run", f"http://127.0.0.1:{port}/openapi.json", "--max-examples", str(examples), "--seed", "1"]
            schemathesis = Path(sys.executable).with_name("schemathesis")
            return subprocess.run([schemathesis, *command, "--checks", "all"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
