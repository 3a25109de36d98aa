"""Facts of the Ergo network stack, as rows and plain frozen values.

The model is data: it reads and writes no bytes and imports only the standard library. So the normative schemas (`spec`) and
the reference node share the facts, and no code that interprets them.
"""
