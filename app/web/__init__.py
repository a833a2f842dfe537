"""The HTTP face: endpoints over a running shop, and one page to try them."""
