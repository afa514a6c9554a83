"""The work: four phases, the rooms below them, and the edges to DVC and Prefect."""
