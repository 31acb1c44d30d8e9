"""A network of many nodes on this machine: its description, its engines, its judges.

``description.py`` says which nodes a network has and ``home.py`` where that is kept. An engine
(``engine.py`` is the seam; ``local.py`` and ``docker.py`` fill it) makes nodes run and stop.
``observer.py`` asks the nodes, ``verdict.py`` judges their answers, and ``network.py`` puts the
parts together into what a command does. The reactor is an argument everywhere.
"""
