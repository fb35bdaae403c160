"""`place: ray`: actors that keep worker processes on the hosts of a Ray cluster."""
