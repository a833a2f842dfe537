"""From a request to its answer: parameters, query, fallbacks, cache and its invalidation, request log."""
