"""Many nodes in virtual time: the same protocol core, driven by a heap and a seed."""
