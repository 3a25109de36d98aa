"""Pages of documentation, generated from the schemas, the tables and the catalogue of requirements."""
