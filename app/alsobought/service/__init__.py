"""The running service, and the commands that call it over a local socket."""
