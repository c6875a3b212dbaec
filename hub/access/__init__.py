"""Who comes in: accounts, sessions, keys of programs, and what is reported of them. A sibling of the stages."""
