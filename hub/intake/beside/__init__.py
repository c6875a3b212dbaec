"""Large portions are read and prepared by a process beside the intake's, which keeps what one alone may do: versions,
facts, publishing and positions."""
