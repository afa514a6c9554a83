"""Where a release runs: server, batching, releases."""
