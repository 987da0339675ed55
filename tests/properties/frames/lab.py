"""Sends and counts marked frames in several network namespaces, from one process.

One JSON request per line on stdin, one JSON answer per line on stdout. A place is the name of a namespace below
/run/netns, or "" for the namespace in which the process started. The attacker's interfaces are set up when they appear.
"""

import ctypes
import fcntl
import json
import mmap
import os
import re
import select
import signal
import socket
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
ETH_P_ALL = 3
OUTGOING = 4
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SO_RCVBUFFORCE = 33
PORT = 4809
MARK = re.compile(rb"guard:([a-z0-9.-]+);")
IP4_PROTOCOLS = (1, 2, 6, 17)
IP6_PROTOCOLS = (6, 17, 58)
# Errors and redirects quote a packet, and echo replies repeat it: these marks come from the host's own answer.
ANSWERS4, ANSWERS6 = (0, 3, 5, 11, 12), (1, 2, 3, 4, 129, 137)

HOME = open("/proc/self/ns/net", encoding="ascii")
counts = {}
bridge = "none"


class Inside:
    """Moves the calling thread into the namespace of a place."""

    def __init__(self, place):
        self.place = place

    def __enter__(self):
        if self.place:
            with open(f"/run/netns/{self.place}", encoding="ascii") as namespace:
                enter(namespace)

    def __exit__(self, *_):
        if self.place:
            enter(HOME)


def enter(namespace):
    if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def is_answer(mark, kind, answers):
    """`r` marks a redirect that the attacker made."""
    return kind in answers and not mark.startswith(b"r")


def transport(packet):
    """Protocol and payload of an IP packet; an IPv6 packet with its first extension header skipped."""
    if packet[0] >> 4 == 4:
        return 4, packet[9], packet[(packet[0] & 15) * 4 :]
    after, rest = packet[6], packet[40:]
    if after in (0, 60) and len(rest) > 8:
        after, rest = rest[0], rest[8 + rest[1] * 8 :]
    return 6, after, rest


def count(place, layer, mark):
    at = counts.setdefault(place, {}).setdefault(layer, {})
    at[mark] = at.get(mark, 0) + 1


def on_link(place, found):
    frame, address = found.recvfrom(2048)
    mark = MARK.search(frame)
    if mark is None or address[2] == OUTGOING or (place == "" and address[0] != bridge):
        return
    if frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
        family, protocol, rest = transport(frame[14:])
        icmp = protocol == (1 if family == 4 else 58)
        if icmp and is_answer(mark[1], rest[0], ANSWERS4 if family == 4 else ANSWERS6):
            return
    count(place, "link", mark[1].decode())


def on_ip(place, found, family, protocol):
    packet = found.recv(2048)
    mark = MARK.search(packet)
    if mark is None:
        return
    if family == socket.AF_INET and protocol == 1 and is_answer(mark[1], packet[20], ANSWERS4):
        return
    if protocol == 58 and is_answer(mark[1], packet[0], ANSWERS6):
        return
    count(place, "ip", mark[1].decode())


class Lab:
    """All sockets: each stays in the namespace in which it was made."""

    def __init__(self):
        self.poll = select.epoll()
        self.poll.register(0, select.EPOLLIN)
        self.readers = {}
        self.senders = {}
        self.shooter = 0
        self.sent = mmap.mmap(-1, 8)

    def watch(self, found, reader):
        found.setblocking(False)
        found.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)
        self.readers[found.fileno()] = (found, reader)
        self.poll.register(found, select.EPOLLIN)

    def requests(self):
        """Yields each request; in the meantime it receives. One thread does it all, so that it may fork."""
        rest = b""
        while True:
            for number, _ in self.poll.poll():
                if number != 0:
                    self.receive(*self.readers[number])
                    continue
                found = os.read(0, 1 << 16)
                if not found:
                    return
                *lines, rest = (rest + found).split(b"\n")
                yield from map(json.loads, lines)

    def receive(self, found, reader):
        for _ in range(64):
            try:
                reader(found)
            except BlockingIOError:
                return
            except (OSError, IndexError):
                pass  # a truncated packet, or a device that went down

    def open(self, place):
        with Inside(place):
            link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.watch(link, lambda it: on_link(place, it))
            for family, protocols in ((socket.AF_INET, IP4_PROTOCOLS), (socket.AF_INET6, IP6_PROTOCOLS)):
                for protocol in protocols:
                    raw = socket.socket(family, socket.SOCK_RAW, protocol)
                    self.watch(raw, lambda it, f=family, p=protocol: on_ip(place, it, f, p))
                plain = socket.socket(family, socket.SOCK_DGRAM)
                if family == socket.AF_INET6:
                    plain.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                # A datagram that a socket accepts gets no error as an answer.
                plain.bind(("", PORT))
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
                self.senders[place, family] = plain

    def talk(self, flows, times):
        sent = 0
        for _ in range(times):
            for flow in flows:
                with Inside(flow["from"]):
                    try:
                        family, _, _, _, to = socket.getaddrinfo(flow["to"], PORT, type=socket.SOCK_DGRAM)[0]
                        self.senders[flow["from"], family].sendto(b"guard:%s;" % flow["mark"].encode(), to)
                        sent += 1
                    except OSError:
                        pass
        return sent

    def shoot(self, place, frames, ifnames):
        """Sends all frames on all interfaces until `stop`, those included that appear later."""
        made = [bytes.fromhex(frame) for frame in frames]
        self.sent[:] = bytes(8)
        # A separate process, because it does not wait for the receivers.
        self.shooter = os.fork()
        if self.shooter == 0:
            try:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                shoot_on(place, made, ifnames, self.sent)
            finally:
                os._exit(1)
        end = time.monotonic() + 2
        while self.count() == 0 and time.monotonic() < end:
            time.sleep(0.001)
        return self.count() > 0

    def stop(self):
        os.kill(self.shooter, signal.SIGKILL)
        os.waitpid(self.shooter, 0)
        return self.count()

    def count(self):
        return struct.unpack("Q", self.sent[:8])[0]


def shoot_on(place, made, ifnames, sent):
    began = time.monotonic()
    with Inside(place):
        control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        senders, done = {}, 0
        while True:
            for ifname in ifnames:
                try:
                    if ifname not in senders:
                        senders[ifname] = opened(control, ifname)
                    for frame in made:
                        senders[ifname].send(frame)
                    done += len(made)
                except OSError:
                    senders.pop(ifname, None)
            sent[:] = struct.pack("Q", done)
            if time.monotonic() > began + 1:
                time.sleep(0.001)  # so long a step has no narrow moment in it, and other processes need the processor


def opened(control, ifname):
    """A packet socket on an interface that this call sets up, as a container may."""
    name = struct.pack("16sH14x", ifname.encode(), 0)
    flags = struct.unpack("16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, name))[1]
    if not flags & IFF_UP:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", ifname.encode(), flags | IFF_UP))
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    found.bind((ifname, 0))
    return found


def burst(place, frames, ifname, times):
    made = [bytes.fromhex(frame) for frame in frames]
    with Inside(place), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((ifname, 0))
        for _ in range(times):
            for frame in made:
                sender.send(frame)
            time.sleep(0.002)
    return times * len(made)


def answer(lab, request):
    global bridge
    match request:
        case {"open": places, "bridge": name}:
            bridge = name
            for place in places:
                lab.open(place)
            return True
        case {"shoot": frames, "at": place, "ifnames": ifnames}:
            return lab.shoot(place, frames, ifnames)
        case {"stop": True}:
            return lab.stop()
        case {"burst": frames, "at": place, "ifname": ifname, "times": times}:
            return burst(place, frames, ifname, times)
        case {"talk": flows, "times": times}:
            return lab.talk(flows, times)
        case {"seen": True}:
            return counts
    raise ValueError(f"no such request: {request}")


def main():
    lab = Lab()
    print("ready", flush=True)
    for request in lab.requests():
        print(json.dumps(answer(lab, request)), flush=True)


main()
