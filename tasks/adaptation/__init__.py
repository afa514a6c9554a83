"""How the chosen model learns: scope x objective, one loop, and the control from scratch."""
