"""Notices as files, for a department without a server: packages out, acknowledgements and answers back.

    layout      the folders of a subscription, and how a file is written whole or not at all
    columns     a record in a clerk's words          sheets     tables that a clerk opens, out
    package     the files of one package             ledger     what went out and what was said of it
    box         the transport: gathers, writes, waits
    tables      tables that a clerk filled in        replies    what they say
    results     what became of it, row by row        inbox      which files have come whole
    reader      from inbox/ to receipts, answers     sender     all of it as the sender of a subscription
"""
