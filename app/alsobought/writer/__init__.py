"""One thread that stores each event once: batching, fencing, recovery after a crash, rewriting a user's rows."""
