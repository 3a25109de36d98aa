"""The reference node as a target: ERGO_TARGET, READY, and the agents."""
