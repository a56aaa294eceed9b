"""ssh's ProxyCommand with ProxyUseFdpass: opens the connection where this runs, hands it over.

Run inside a network namespace, it lets an ``ssh`` outside reach what is in there.
"""

import array
import socket
import sys

with (
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as connection,
    socket.socket(fileno=1) as ssh,
):
    connection.settimeout(None)
    fds = array.array("i", [connection.fileno()])
    ssh.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
