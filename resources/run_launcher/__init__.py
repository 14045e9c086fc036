"""A run launcher that forks each run from a process which has imported the libraries already.

``launcher`` is what Dagster's instance file names; ``run_server`` is the process that forks,
``server_address`` where it listens, ``server_client`` how it is started and asked, ``preload`` what
it imports, ``worker`` how a run's process is known again. Nothing here knows the pipeline: what a
run executes is Dagster's own command.
"""
