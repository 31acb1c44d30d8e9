"""Experiments that are measured: churn, and the published figures."""
