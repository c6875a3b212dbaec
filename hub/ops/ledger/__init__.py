"""The ledger: follows all topics and keeps in Redis where everything stands, so that a question costs no scan."""
