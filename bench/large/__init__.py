"""Rows of one large file, and of one large frame."""
