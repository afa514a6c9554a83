"""Did the transfer pay off: paired comparisons on rows that no training saw, and a verdict."""
