"""HTTP: interfaces for programs (health, schema registry face, what departments hand in and answer), and pages."""
