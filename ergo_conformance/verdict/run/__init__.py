"""One run: cases, contexts, scheduling, outcomes."""
