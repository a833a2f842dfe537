"""One thread that stores each event once: queue, batches, lease and fencing, recovery after a crash, rewrites of a user's rows."""
