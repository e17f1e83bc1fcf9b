"""A program on a terminal of its own, for those that follow a file on the screen."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading


class Screen:
    """What the program has drawn so far, control sequences included."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._drawn = bytearray()
        self._over = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        # Not only until nobody has the terminal open: a child of the program may outlive it a little.
        while not self._over:
            if not select.select([self._descriptor], [], [], 0.1)[0]:
                continue
            try:
                drawn = os.read(self._descriptor, 65536)
            except OSError:  # EIO: nobody has the terminal open any more
                return
            self._drawn += drawn

    def shows(self, text):
        return text.encode() in bytes(self._drawn)

    def text(self):
        return bytes(self._drawn).decode(errors="replace")

    def close(self):
        self._over = True
        self._reader.join()


@contextlib.contextmanager
def on_terminal(*command, home):
    """Runs the program while the block does; gives its screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [str(part) for part in command], stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "HOME": str(home), "LESSHISTFILE": "-", "LC_ALL": "C.UTF-8"},
    )
    os.close(theirs)
    screen = Screen(ours)
    try:
        yield screen
    finally:
        process.send_signal(signal.SIGHUP)  # multitail ends its children then
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        screen.close()
        os.close(ours)
