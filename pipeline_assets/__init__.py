"""Files that land in S3 become tables that people trust.

The flow, and where to read it:

1. A notification says that an object landed: ``sensors.landing`` registers it in the ledger
   (``resources.ledger``) and plans runs.
2. ``bronze`` reads the object through ``parsing`` and keeps every record, malformed ones too, as
   fragments, one per event date.
3. ``silver`` recomputes a whole event date from its fragments: conform, validate, deduplicate.
   What breaks the contract goes to quarantine, with its reasons.
4. ``gold`` derives the business tables of the date, ``serving`` puts them into DynamoDB.
5. ``sensors.refresh`` does 3 and 4 for every other date that a file touched.

``dataset`` says what a dataset declares, ``datasets`` holds one file per dataset, ``definitions``
assembles the whole for Dagster and ``cli`` for the command line.
"""
