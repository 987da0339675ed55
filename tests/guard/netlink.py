"""Deletes a link by name in another network namespace. The kernel allows that with CAP_NET_ADMIN over that namespace.

netlink.py NSID NAME: NSID is the other namespace's number, as `ip link` shows it for a veth (link-netnsid). Prints
"deleted" or the kernel's error.
"""

import os
import socket
import struct
import sys

RTM_DELLINK = 17
NLM_F_REQUEST, NLM_F_ACK = 1, 4
IFLA_IFNAME, IFLA_TARGET_NETNSID = 3, 46


def attribute(kind, value):
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


nsid, name = int(sys.argv[1]), sys.argv[2]
body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
body += attribute(IFLA_IFNAME, name.encode() + b"\0")
body += attribute(IFLA_TARGET_NETNSID, struct.pack("=i", nsid))
header = struct.pack("=IHHII", 16 + len(body), RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
    kernel.bind((0, 0))
    kernel.send(header + body)
    (error,) = struct.unpack_from("=i", kernel.recv(8192), 16)
print("deleted" if error == 0 else os.strerror(-error))
