"""Thousands of broadcasts among kills, joins, loss and liars, judged."""
