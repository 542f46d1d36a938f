"""Masks in files: the store (SA-1B pairs), and the formats of others in and out."""
