"""A demonstration on files of an invented shop, with an account to compare the pipeline with."""
