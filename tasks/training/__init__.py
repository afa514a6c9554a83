"""How a network learns: scope x objective, one loop, the search for its rate, and the head that is solved."""
