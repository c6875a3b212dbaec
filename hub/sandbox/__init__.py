"""Stand-ins for the outside world, and a generator of realistic traffic.

``generate`` writes what departments export; ``disclosure_system`` stands in for the public
channels, ``department`` for a department that subscribes, ``service`` runs them together.
Nothing here is used in production, and nothing that is used in production imports it.
"""
