"""Who may do what, and who did: keys, scopes, roles, signed tokens, rate limits, the audit log. Nothing here knows Flask."""
