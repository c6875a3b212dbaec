"""Pages of the department portal: what lies on a department's desk, its notices, its punctuality."""
