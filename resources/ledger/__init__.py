"""The ledger: one DynamoDB table that knows the state of every file, run request and date.

``model`` holds its values, ``table`` the typed access to DynamoDB; ``files``, ``requests``,
``dates`` and ``runs`` have one kind of item each, ``ledger`` joins them. Every step is a
conditional write that names the state it leaves; each module says in which order it writes and
what a crash between two writes leaves behind.
"""
