"""What is under test: how it is started or found, what it offers, how it is reached."""
