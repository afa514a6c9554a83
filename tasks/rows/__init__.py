"""Rows from a user's file to training, validation and test: read, check, split. Selection, preparation share it."""
