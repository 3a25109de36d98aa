"""Golden vectors held against both readers."""
