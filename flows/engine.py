"""A flow run as a worker starts it, `python -m flows.engine`: Prefect's own engine, which dies with the worker.

A killed worker leaves its runs alive, and the next worker would start a second beside each, writing to one project.
"""

from __future__ import annotations

import os
import runpy
import sys

from flows.background import PARENT
from tasks.stage import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    # A worker that died before that line is no longer the parent; one that `graft up` did not start is not named.
    if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):
        sys.exit("The worker that started this run is gone: nothing was run.")
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
