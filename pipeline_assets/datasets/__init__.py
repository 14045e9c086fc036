"""One file per dataset, each with its declaration in ``DATASET``; nothing else belongs here."""
