"""Pages for people: the shell that all share, and those of accounts, sessions, reports and the record of acts."""
