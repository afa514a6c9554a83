"""Answers to files of any size: rows in and out by the portion, and a job that was killed goes on where it was."""
