"""Processes, their mailboxes, relations, events and applications."""
