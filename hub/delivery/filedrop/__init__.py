"""Notices as files, for a department without a server: packages out, acknowledgements and answers back.

    layout      the folders of a subscription, and how a file is written whole or not at all
    columns     a record in a clerk's words          sheets     tables that a clerk opens, out
    package     the files of one package             ledger     what went out and what was said of it
    box         the transport: gathers, writes, waits
    tables      tables that a clerk filled in        replies    what they say
    results     what became of it, row by row        reader     from inbox/ to receipts and answers
"""
