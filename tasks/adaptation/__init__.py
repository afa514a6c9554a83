"""The chosen model adapted, and its control from scratch, by what tasks/training holds."""
