"""Scripted peers: the tester's side of the wire. Every field can be overridden; built on the schemas, not on the node."""
