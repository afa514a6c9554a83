"""Classification: one of K labels per row."""
