"""ENP R1, sans-io: frames, compression, and the sockets of a connection."""
