"""Golden vector files (`ergo-vectors/1`), and the comparison of codecs with their rows."""
