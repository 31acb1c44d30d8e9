"""Many nodes in virtual time: the network, its weather, its clock."""
