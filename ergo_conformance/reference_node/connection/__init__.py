"""Sockets, connections and the table of a node's connections."""
