"""A run: cases and their contexts, runners, outcomes, events."""
