"""Protocol conformance and interop toolkit for the Ergo Framework network stack."""
