"""ENP R1, sans-io: frames, compression, the links of a connection."""
