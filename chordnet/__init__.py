"""chordnet: a peer-to-peer network with no centre."""
