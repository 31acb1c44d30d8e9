"""chordnet as its users have it: a local network, `p2pnet` and `P2PNetClient`."""
