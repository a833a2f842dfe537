"""Who may do what over HTTP: keys, their scopes, signed tokens, rate limits. Nothing here knows Flask."""
