"""Mutants: the reference node with one seeded fault each. A run of the suites has to find every one of them."""
