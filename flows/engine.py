"""A flow run as a worker starts it, `python -m flows.engine`: Prefect's own engine, which dies with the worker.

A killed worker leaves its runs alive, and the next worker would start a second beside each, writing to one project.
"""

from __future__ import annotations

import runpy

from tasks.stage import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
