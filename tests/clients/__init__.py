"""What makes typed clients of the endpoints, and programs that use them."""
