"""Values, types and frames as tagged JSON, and back."""
