"""Recorded tasks: their format, recording new ones, and reading public ones."""
