"""How shippers that are not in Debian follow a file, reduced to their system calls. Each has
poll(), which reads what there is, and `got`, the bytes of all files in the order they were read.
What they put down survives in `registry`: a new follower with it is the shipper restarted."""

import hashlib
import os


def inode(status):
    return status.st_ino


def read_from(descriptor, offset, size):
    """Until the end, in reads of a buffer's size, as all of them do."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    data = b""
    while part := os.read(descriptor, size):
        data += part
    return data


class ByInode:
    """Fluent Bit's tail without inotify: stat of the name, an open descriptor per file, offsets by
    inode. A file renamed away is read to its end and then closed."""

    BUFFER = 32 << 10

    def __init__(self, path, registry):
        self.path, self.registry, self.got = path, registry, b""
        self._open = {}  # inode: descriptor

    def poll(self):
        found = None
        try:
            found = os.stat(self.path).st_ino
            if found not in self._open:
                descriptor = os.open(self.path, os.O_RDONLY)
                self._open[os.fstat(descriptor).st_ino] = descriptor
        except FileNotFoundError:
            pass  # between rename and create
        for number, descriptor in list(self._open.items()):
            status, offset = os.fstat(descriptor), self.registry.get(number, 0)
            assert status.st_ino == number
            assert status.st_size >= offset, "seems truncated: all would be sent again"
            data = read_from(descriptor, offset, self.BUFFER)
            self.got += data
            self.registry[number] = offset + len(data)
            if number != found and not data:
                os.close(self._open.pop(number))

    def close(self):
        for descriptor in self._open.values():
            os.close(descriptor)


class ByFingerprint:
    """Filebeat's filestream: files of a glob, known by a hash of their first bytes, opened for each
    look, closed when nothing new came. Vector does so with a checksum of the first line."""

    BUFFER = 16 << 10

    def __init__(self, directory, pattern, registry, length=1024):
        self.directory, self.pattern, self.registry, self.length = directory, pattern, registry, length
        self.got = b""

    def poll(self):
        # The oldest first, as one would see them turn up.
        for path in sorted(self.directory.glob(self.pattern), key=lambda path: path.name, reverse=True):
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue  # renamed since
            try:
                self._look(descriptor)
            finally:
                os.close(descriptor)

    def _look(self, descriptor):
        head = os.read(descriptor, self.length)
        if len(head) < self.length:
            return  # waits until it has grown
        key = hashlib.sha256(head).hexdigest()
        offset = self.registry.get(key, 0)
        assert os.fstat(descriptor).st_size >= offset, "seems truncated: all would be sent again"
        data = read_from(descriptor, offset, self.BUFFER)
        self.got += data
        self.registry[key] = offset + len(data)

    def close(self):
        pass


class ByPath:
    """Promtail: a positions file by path; a descriptor that is kept until the name has another
    inode, then read to its end and opened anew from the start."""

    BUFFER = 4 << 10

    def __init__(self, path, registry):
        self.path, self.registry, self.got = path, registry, b""
        self._descriptor = None

    def poll(self):
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        self._drain()
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return
        if not os.path.samestat(there, os.fstat(self._descriptor)):
            self._drain()
            os.close(self._descriptor)
            self._descriptor = os.open(self.path, os.O_RDONLY)
            self.registry[str(self.path)] = 0
            self._drain()

    def _drain(self):
        offset = self.registry.get(str(self.path), 0)
        assert os.fstat(self._descriptor).st_size >= offset, "seems truncated: all would be sent again"
        data = read_from(self._descriptor, offset, self.BUFFER)
        self.got += data
        self.registry[str(self.path)] = offset + len(data)

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
