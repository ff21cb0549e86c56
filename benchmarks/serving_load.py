"""The load of serving.py, a process of its own: serving_load.py, which reads a job a line and answers each by a line.

Both are JSON. The jobs, by `do`:

    aim      port, path, bodies                     what is asked from now on: bodies, one after another
    connect  clients                                take connections and hold them
    closed   clients, seconds, [count], [keep]      each client asks anew as soon as it is answered, so many times in
                                                    all; `keep` is a file of number of the body, status, body
    open     rate, seconds, connections, [patience] so many requests a second, whether answered or not

A line that comes while a load runs ends it. HTTP/1.1 (RFC 9112) over connections that are kept, all in one loop over
epoll, so that it takes little from the servers that it measures: 30 microseconds of a core for a request, if it has
much to do. Linux only.
"""

import heapq
import itertools
import json
import re
import select
import socket
import sys
import time
from collections import Counter, deque
from pathlib import Path

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
RETRY_AFTER = re.compile(rb"\r\nretry-after: *[1-9]", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
PAUSE = 0.05
"""Seconds before a client asks again that was refused."""
PATIENCE = 15.0
"""Seconds that the last answers have to come, after the load has ended."""


LINES = sys.stdin.buffer.raw
"""Without a buffer, since the loop waits for the descriptor and would not see what Python has read ahead."""


class Response:
    """What has come of an answer so far."""

    def __init__(self):
        self.received = bytearray()
        self._whole = None

    def add(self, data):
        """Whether the answer is whole now."""
        self.received += data
        if self._whole is None:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return False
            found = LENGTH.search(self.received, 0, end)
            if not found:
                raise ValueError("an answer without Content-Length")
            self._whole = end + 4 + int(found[1])
        return len(self.received) >= self._whole

    @property
    def status(self):
        return int(self.received[9:12])

    @property
    def body(self):
        return bytes(self.received[self.received.find(b"\r\n\r\n") + 4 : self._whole])

    def has(self, header):
        return bool(header.search(self.received, 0, self.received.find(b"\r\n\r\n") + 2))


class Connection:
    """One connection, and the request that waits for its answer on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.response = None

    def ask(self, number, request, due):
        self.number, self.due, self.response = number, due, Response()
        # A request is small, and the buffer of an idle connection empty.
        if self.socket.send(request) != len(request):
            raise ConnectionError("the buffer is full")


class Load:
    """Connections to one server, what is asked over them and what was answered."""

    def __init__(self):
        self.epoll = select.epoll()
        self.epoll.register(LINES.fileno(), select.EPOLLIN)
        self.connections, self.port, self.requests, self.next = {}, None, [], 0

    def aim(self, port, path, bodies):
        for connection in list(self.connections.values()):
            self._drop(connection)
        self.port, self.next = port, 0
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: "
        self.requests = [f"{head}{len(body.encode())}\r\n\r\n{body}".encode() for body in bodies]

    def connect(self, clients):
        for _ in range(clients - len(self.connections)):
            self._open()
        for connection in list(self.connections.values())[clients:]:
            self._drop(connection)

    def closed(self, clients, seconds, count=None, keep=None):
        """Each of the clients has one request under way until the time is over, or the count is reached."""
        self._begin(seconds, keep)
        self.left = count or float("inf")
        self.connect(clients)
        for connection in list(self.connections.values()):
            self._ask(connection, time.perf_counter())
        while self._waits():
            self._turn(self._ask)
        return self._end()

    def open(self, rate, seconds, connections, patience=PATIENCE):
        """Requests at moments of a steady clock; the latency counts from the moment, so that a queue before the server
        counts, too. If as many are under way as there may be connections, the request is left out and counted."""
        self._begin(seconds, None)
        self.patience, self.left = patience, round(rate * seconds)
        self.connect(min(connections, 64))
        idle, moments = deque(self.connections.values()), (self.began + k / rate for k in range(self.left))
        due = next(moments)
        while self._waits() or due < self.ends:
            now = time.perf_counter()
            while due <= now and due < self.ends:
                while idle and idle[0].socket.fileno() not in self.connections:
                    idle.popleft()
                if idle or len(self.connections) < connections:
                    connection = idle.popleft() if idle else self._open()
                    if connection:
                        self._ask(connection, due)
                else:
                    self.counts["left out"] += 1
                due = next(moments, self.ends)
            self._turn(lambda connection, _: idle.append(connection), due if due < self.ends else None)
        return self._end()

    def _begin(self, seconds, keep):
        self.counts, self.answered, self.lost = Counter(), [], []
        self.later, self.order = [], itertools.count()
        self.keep, self.kept = keep, []
        self.began, self.cpu = time.perf_counter(), time.process_time()
        self.ends, self.left, self.patience = self.began + seconds, float("inf"), PATIENCE

    def _end(self):
        if self.keep:
            Path(self.keep).write_bytes(b"".join(self.kept))
        for connection in [one for one in self.connections.values() if one.response]:
            self.counts["no answer"] += 1
            self._drop(connection)
        return {
            "seconds": self.ends - self.began,
            "cpu": time.process_time() - self.cpu,
            "counts": self.counts,
            "answered": self.answered,
            "lost": self.lost,
        }

    def _waits(self):
        now = time.perf_counter()
        if now < self.ends and self.left:
            return True
        return now < self.ends + self.patience and any(one.response for one in self.connections.values())

    def _open(self):
        try:
            connection = Connection(self.port)
        except OSError:
            self.counts["refused"] += 1
            return None
        self.connections[connection.socket.fileno()] = connection
        self.epoll.register(connection.socket.fileno(), select.EPOLLIN)
        return connection

    def _drop(self, connection):
        self.connections.pop(connection.socket.fileno(), None)
        connection.socket.close()

    def _ask(self, connection, due):
        if due >= self.ends or not self.left:
            return
        self.left -= 1
        number = self.next
        self.next = (number + 1) % len(self.requests)
        try:
            connection.ask(number, self.requests[number], due)
        except OSError:
            # Nothing was accepted: the other side had closed before.
            self.counts["not sent"] += 1
            self._renew(connection)

    def _renew(self, connection, pause=0.0):
        """Another connection in its place."""
        self._drop(connection)
        self._go_on_later(time.perf_counter() + pause)

    def _go_on_later(self, moment, connection=None):
        """With a connection, or with another one."""
        heapq.heappush(self.later, (moment, next(self.order), connection))

    def _turn(self, go_on, until=None):
        """Wait for answers or for what is due, and tell `go_on` each connection that is free again."""
        now = time.perf_counter()
        moments = [moment for moment in (until, self.later[0][0] if self.later else None) if moment is not None]
        wait = max(min([*moments, now + 0.1]) - now, 0.0)
        for descriptor, _ in self.epoll.poll(wait):
            if descriptor == LINES.fileno():
                LINES.readline()
                self.ends = min(self.ends, time.perf_counter())
            elif connection := self.connections.get(descriptor):
                self._receive(connection, go_on)
        now = time.perf_counter()
        while self.later and self.later[0][0] <= now:
            connection = heapq.heappop(self.later)[2] or (self._open() if now < self.ends else None)
            if connection:
                go_on(connection, now)
            elif now < self.ends:
                self._go_on_later(now + PAUSE)

    def _receive(self, connection, go_on):
        try:
            data = connection.socket.recv(1 << 16)
        except OSError:
            data = b""
        now = time.perf_counter()
        if not data:
            if connection.response:
                self.counts["lost"] += 1
                self.lost.append((connection.due, now))
            return self._renew(connection)
        if not connection.response:
            raise ValueError("an answer that nobody asked for")
        if not connection.response.add(data):
            return None
        response, connection.response = connection.response, None
        self.counts[str(response.status)] += 1
        if self.keep:
            self.kept.append(b"%d %d %s\n" % (connection.number, response.status, response.body))
        if response.status == 200:
            self.answered.append((connection.due, now))
        else:
            self.counts["with Retry-After"] += response.has(RETRY_AFTER)
        if response.has(CLOSE):
            return self._renew(connection)
        if response.status != 200 and go_on == self._ask:
            return self._go_on_later(now + PAUSE, connection)
        return go_on(connection, now)


def main():
    load = Load()
    for line in iter(LINES.readline, b""):
        if job := json.loads(line):
            print(json.dumps(getattr(load, job.pop("do"))(**job)), flush=True)


if __name__ == "__main__":
    main()
