"""What every family of rows stands on.

Pipelines of the bench's own, the processes that it starts, small files that land, and what a side
must have made of its input. Nothing here knows a row.
"""
