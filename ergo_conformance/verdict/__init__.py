"""Results of a run: outcomes, evidence, reports."""
