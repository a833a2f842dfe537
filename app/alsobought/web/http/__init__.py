"""HTTP/1.1 on asyncio: connections that slow, silent and greedy clients cannot turn against others."""
