"""The official package of this name."""
