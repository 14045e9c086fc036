"""Rows of the tables: many dates from bronze to serving, and many items into DynamoDB."""
