"""Certificates over connections: given to newcomers, renewed, and kept up to date."""
