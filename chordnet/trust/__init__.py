"""Who is who: certificates, the authority that issues them, and how they are checked.

Nothing here opens a socket or reads a clock: whoever calls passes the time in.
"""
