"""Schemas of the Ergo protocols."""
