"""A run launcher that forks each run from a process which has imported its code already.

``launcher`` is what Dagster's instance file names; ``run_server`` is the process that forks, and
``keeper`` the one that it is forked from. ``preload`` is what the keeper imports and ``project``
what the server does; ``server_address`` is where it listens, ``server_client`` how it is started
and asked, ``worker`` how a run's process is known again. Nothing here knows the pipeline: the
instance file names its module, and what a run executes is Dagster's own command.
"""
