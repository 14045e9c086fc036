"""What the assets stand on: settings, AWS, the ledger, IO managers, the local AWS.

Nothing here knows an asset or a dataset, and nothing happens at import.
"""
