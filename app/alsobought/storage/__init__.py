"""The connection to ClickHouse, and the database's own records: ledger, journal, identities, catalogue, retention."""
