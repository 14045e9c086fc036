"""What a person does by hand; commands and jobs of the UI call the same functions."""
