"""The running service, and the commands that ask it over a local socket."""
