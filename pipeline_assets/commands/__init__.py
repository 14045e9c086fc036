"""What a person does to the pipeline by hand: one module per command or pair of commands."""
