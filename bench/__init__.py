"""Speed and memory against what a user would pick instead: ``make bench``.

A row measures ours and its peer in turns, in the same run on the same machine, and checks what both
of them wrote; what counts is the ratio, since absolute times are those of a machine. One module per
family of rows; ``registry`` names them all, ``sizes`` says how much is measured.
"""
