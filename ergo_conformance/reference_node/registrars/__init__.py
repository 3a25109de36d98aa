"""Registrar clients and servers on sockets."""
