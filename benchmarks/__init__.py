"""Side-by-side measurements of chordnet and of what people would use instead.

``python -m benchmarks`` runs a chordnet network of sixteen nodes and its rivals
on this machine, in interleaved rounds of one run, and prints each figure beside
the rival's, their ratio and the target. ``python -m benchmarks.micro`` times
single steps of the protocol core and of the codec.

Machines drift, so a ratio is taken round by round and the median of those is
quoted; figures from different runs are not comparable.
"""
