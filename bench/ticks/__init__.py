"""Rows of what the sensors do between runs."""
