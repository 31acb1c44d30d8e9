"""Whole stores in virtual time, with clients and faults; their histories are judged."""
