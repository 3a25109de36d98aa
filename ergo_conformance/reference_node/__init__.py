"""A complete Ergo node, independent of the Go one and of the schemas in `spec`."""
