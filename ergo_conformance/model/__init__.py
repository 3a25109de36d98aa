"""The vocabulary of the Ergo network stack: facts as rows and plain frozen values.

Everything here is data. No bytes are read or written, and nothing but the standard library is imported, so that the
normative schemas (`spec`) and the reference node can share the facts without sharing any code that interprets them.
"""
