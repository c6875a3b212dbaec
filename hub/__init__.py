"""The event hub of Gannan prefecture's market supervision.

The map of the house, top to bottom; imports run downward only:

==================  ====================================================================
``cli``             ``hub ...``, one module per command group; makes no decisions
``wiring``          the one place that picks and connects parts
``settings``        the one place that reads the environment; read by ``cli`` and ``wiring``
``web``             HTTP: interfaces for programs, and the pages for people (``web/site``)
``intake``          stage: what legacy systems know becomes events, once
``routing``         stage: each event to channels, subscriptions and clocks, by the map
``disclosure``      stage: orders to the public channels, receipts back
``delivery``        stage: notices to the subscribing departments
``clocks``          stage: statutory deadlines in working days
``access``          accounts of people, sessions, keys of programs, reports to the lead agency
``ops``             what an operator asks: lag, tally, trace, dead letters
``embedded``        a real Kafka and Valkey for a laptop
``sandbox``         stand-ins for outside systems, and a generator of traffic
``bus``             Kafka: lane, publisher, topic plan, dead letters
``state``           Redis: indexes that rebuild from topics
``contracts``       the map's models, schemas, codec, CloudEvents headers
``domain``          pure rules: identifiers, events, routing, calendar, clocks
``errors``          the tree of errors
==================  ====================================================================
"""
