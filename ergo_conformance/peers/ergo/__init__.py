"""Scripted peers of the Ergo protocols."""
