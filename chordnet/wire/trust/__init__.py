"""Messages about certificates: enrolment and renewal, roots and revocations, what clients ask."""
