"""An agent in one network namespace: sends raw frames and plain datagrams, counts the marked frames that arrive.

frames.py INTERFACE [listen|early]: one JSON request per line on stdin, one JSON answer per line on stdout. `early` is
for an interface that does not exist yet. It refuses to run with any capability except CAP_NET_RAW, which container
runtimes leave to a container.
"""

import json
import os
import re
import socket
import sys
import threading
import time

ETH_P_ALL = 3
OTHERHOST = 3
OUTGOING = 4
PORT = 4809
MARK = re.compile(rb"guard:([a-z0-9.-]+);")
NET_RAW_ALONE = 1 << 13

interface = sys.argv[1]
counts = {}


def capabilities():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))


def packet_socket():
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    found.bind((interface, ETH_P_ALL))
    return found


def listen(receiver):
    """Counts by mark the frames for this interface, and the other frames that arrived."""
    while True:
        try:
            frame, address = receiver.recvfrom(2048)
        except OSError:
            return  # the interface is gone: no more frames arrive
        found = MARK.search(frame)
        if found is None or address[2] == OUTGOING:
            continue
        seen = counts.setdefault(found[1].decode(), [0, 0])
        seen[1 if address[2] == OTHERHOST else 0] += 1


def sink(family):
    """Receives datagrams, so that none is answered with an ICMP error, from which the bridge would learn. Counts by mark
    the datagrams that the IP stack accepted, on any interface."""
    found = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    found.bind(("", PORT))
    while True:
        mark = MARK.search(found.recv(2048))
        if mark is not None:
            counts.setdefault("taken." + mark[1].decode(), [0, 0])[0] += 1


def raw(sender, frames, times, gap):
    """Sends all frames, `times` times, `gap` ms apart; returns how many it sent."""
    made = [bytes.fromhex(frame) for frame in frames]
    for _ in range(times):
        for frame in made:
            sender.send(frame)
        time.sleep(gap / 1000)
    return times * len(made)


def talk(flows, times, gap):
    """Sends one datagram to each address of `flows` (address → mark), `times` times; returns how many it sent."""
    sent = 0
    for _ in range(times):
        for address, mark in flows.items():
            # An address may end in %INTERFACE, which only this call understands.
            family, kind, _, _, to = socket.getaddrinfo(address, PORT, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind) as plain:
                try:
                    plain.sendto(b"guard:%s;" % mark.encode(), to)
                    sent += 1
                except OSError:
                    pass
        time.sleep(gap / 1000)
    return sent


def flood(sender, seconds):
    """Sends frames, each from a new MAC, to an unknown MAC; returns their number."""
    rest = b"\x02\xff\xff\xff\xff\xfe%s\x88\xb5" + bytes(46)
    end = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < end:
        for _ in range(100):
            try:
                sender.send(rest % (b"\x02" + os.urandom(5)))
                sent += 1
            except OSError:
                pass
    return sent


def haste(frames, seconds):
    """Sends all frames as often as possible for a time that begins when the interface accepts one; returns their number."""
    made = [bytes.fromhex(frame) for frame in frames]
    end = time.monotonic() + 20
    sender, sent = None, 0
    while time.monotonic() < end:
        try:
            sender = sender or packet_socket()
            for frame in made:
                sender.send(frame)
                sent += 1
                if sent == 1:
                    end = time.monotonic() + seconds
        except OSError:
            time.sleep(0.0001)
    return sent


def answer(sender, request):
    match request:
        case {"haste": frames, "seconds": seconds}:
            return haste(frames, seconds)
        case {"raw": frames, "times": times, "gap": gap}:
            return raw(sender, frames, times, gap)
        case {"talk": flows, "times": times, "gap": gap}:
            return talk(flows, times, gap)
        case {"flood": seconds}:
            return flood(sender, seconds)
        case {"seen": True}:
            return counts
    raise ValueError(f"no such request: {request}")


def main():
    if capabilities() != NET_RAW_ALONE:
        sys.exit(f"capabilities are {capabilities():x}, wanted CAP_NET_RAW alone")
    if "listen" in sys.argv[2:]:
        threading.Thread(target=listen, args=(packet_socket(),), daemon=True).start()
        for family in (socket.AF_INET, socket.AF_INET6):
            threading.Thread(target=sink, args=(family,), daemon=True).start()
    sender = None
    if "early" not in sys.argv[2:]:
        sender = packet_socket()
        # Nothing is read here; a full queue would only cost memory.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(sender, json.loads(line))), flush=True)


main()
