"""What a run found: outcomes, evidence, reports."""
