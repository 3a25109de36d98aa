"""Mutants: the reference node with one seeded fault each. A run of the suites finds each of them."""
