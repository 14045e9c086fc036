"""The bytes of a landed object become records, good and malformed; one pair of files per format."""
