"""Targets: the nodes under test, and how they are started and reached."""
