"""Rows about a backlog: many files that landed at once become complete gold."""
