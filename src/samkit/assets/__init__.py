"""Files that come inside the package: the small default model."""
