"""AWS on this machine: moto's server in a process of its own, that keeps its data."""
