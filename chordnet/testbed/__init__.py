"""A network of many nodes on this machine: its home, its engines, what is done to it.

``base`` holds the home of a network, the faults made on purpose and the interface of an engine.
``engines`` makes nodes run and stop, as processes or as containers. ``actions`` is what a command
does to a network; it asks and judges the nodes through :mod:`chordnet.survey`. The reactor is an
argument everywhere.
"""
