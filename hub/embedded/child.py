"""Run a command that dies with its parent: ``python child.py PARENT_PID -- COMMAND...``.

A killed hub (``kill -9``, out of memory) cannot tidy up, so the kernel has to: on Linux the
command asks to be killed when the thread that started it ends. Elsewhere nothing is asked and
the pid file of ``hub.embedded.process`` ends what was left, at the next start.

Standard library only and started by path, so that it needs neither an installed hub nor ``-m``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

#: From linux/prctl.h; it stays in force through exec of a program that is not setuid.
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the command. Returns only by an error."""
    parent, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit("usage: child.py PARENT_PID -- COMMAND...")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
        # A parent that died before the line above sends no signal any more.
        if os.getppid() != int(parent):
            sys.exit("The process that started this one is gone.")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
