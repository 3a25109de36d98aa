"""The tester's side of the wire: scripted, able to lie in every field, built on the schemas and not on the node."""
