"""Rows of runs: how soon one begins and ends, how many a second, what a process start costs."""
