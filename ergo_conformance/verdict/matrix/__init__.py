"""The kill matrix: which cases find which mutants."""
