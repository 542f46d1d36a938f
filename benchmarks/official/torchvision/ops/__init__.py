"""Functions on boxes."""
