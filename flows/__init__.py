"""When the work runs: Prefect flows and the command line. No arithmetic, no file formats."""
