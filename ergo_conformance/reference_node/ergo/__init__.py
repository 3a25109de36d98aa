"""The Ergo stack of the node, sans-io: bytes in, values and bytes out."""
