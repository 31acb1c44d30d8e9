"""Clients of a node: their requests, pages and subscriptions."""
