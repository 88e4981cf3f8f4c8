"""A TCP proxy that holds each piece of an answer back for a while, as a long way would. For a few connections."""
import queue
import socket
import threading
import time

CHUNK = 1 << 16


class DelayProxy:
    """Listens on a free port of loopback until this program ends. Answers of `port` come `delay_s` later; requests do not,
    so a round trip takes that much longer."""

    def __init__(self, port, delay_s):
        self.target, self.delay_s = port, delay_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.target))
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            held = queue.Queue()
            for work in ((self.pass_on, near, far), (self.hold, far, held), (self.release, held, near)):
                threading.Thread(target=work[0], args=work[1:], daemon=True).start()

    @staticmethod
    def close(*sockets):
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other end was first

    def pass_on(self, near, far):
        try:
            while data := near.recv(CHUNK):
                far.sendall(data)
        except OSError:
            pass  # a connection that is lost ends like one that is closed
        self.close(near, far)

    def hold(self, far, held):
        try:
            while data := far.recv(CHUNK):
                held.put((time.monotonic() + self.delay_s, data))
        except OSError:
            pass
        held.put(None)

    def release(self, held, near):
        while (entry := held.get()) is not None:
            time.sleep(max(0.0, entry[0] - time.monotonic()))
            try:
                near.sendall(entry[1])
            except OSError:
                break
        self.close(near)
