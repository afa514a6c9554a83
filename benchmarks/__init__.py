"""Ratios measured within one run; `make bench` prints them, RESULTS.md keeps them with machine and date."""
