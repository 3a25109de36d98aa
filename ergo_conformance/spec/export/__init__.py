"""What is made of the schemas, the tables and the catalogue: pages of documentation."""
