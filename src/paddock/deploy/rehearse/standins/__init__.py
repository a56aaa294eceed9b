"""Stand-ins for what a deployment installs, so that a plan can be tried without the real packages.

Each says in its name, its metadata or its output that it is one.
"""

from paddock.deploy.rehearse.standins.artifacts import MARK, make

__all__ = ["MARK", "make"]
