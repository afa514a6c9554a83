"""A project of one's own: what its data are, its params.yaml with comments, its files, its upgrade."""
