"""The network of a node: acceptors, dialer, route resolution."""
