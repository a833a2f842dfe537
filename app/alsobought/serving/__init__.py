"""From a request to its answer: query, fallbacks, cache and its invalidation, request log."""
