"""The national lead feed: tasks that the national platform distributes, and what goes back up to it."""
