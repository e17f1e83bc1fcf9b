"""Checks which part of the source may include what.

usage: include_rule.py ROOT

Prints one line per offence; exit code 1 if there is one. A new adapter is
added to ADAPTERS here, where the next reader can see how many there are.
"""

import fnmatch
import os
import re
import sys

# part → parts it may include from, besides itself
MAY_INCLUDE = {
    "proto": set(),
    "common": {"proto"},
    "master": {"common", "proto"},
    "chunkserver": {"common", "proto"},
    "client": {"common", "proto"},
    "fuse": {"client", "common", "proto"},
    "cli": {"client", "common", "proto"},
}

# library → (what including it looks like, the only files that may)
ADAPTERS = {
    "gRPC": (
        r"grpc.*|proto/.*\.grpc\.pb\.h|common/rpc/.*",
        [
            "common/rpc/*",
            "chunkserver/chunkserver_process.cc",
            "chunkserver/rpc/control_service.*",
            "chunkserver/rpc/master_link.cc",
            "cli/admin_client.cc",
            "cli/mount_client.cc",
            "client/lock_master.cc",
            "fuse/control_service.cc",
            "master/chunks/grpc_server_client.cc",
            "master/master_process.cc",
            "master/rpc/*_service.*",
            "master/rpc/patient_reactor.h",
            "master/rpc/reply.h",
        ],
    ),
    "Asio": (
        r"asio\.hpp|asio/.*",
        [
            "common/link/*.cc",
            "common/link/tcp_link.h",
        ],
    ),
    "libfuse": (
        r"fuse\.h|fuse3/.*|fuse_.*\.h",
        [
            "fuse/late_reply.h",
            "fuse/operations*",
            "fuse/reply.*",
            "fuse/session.*",
        ],
    ),
    "HTTP and Prometheus": (
        r"httplib\.h|prometheus/.*",
        [
            "chunkserver/operations/server_metrics.*",
            "common/http/*",
            "master/operations/master_metrics.*",
        ],
    ),
    "RocksDB": (
        r"rocksdb/.*",
        [
            "master/rocksdb_*",
        ],
    ),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def sources(root):
    for part in MAY_INCLUDE:
        for directory, _, names in os.walk(os.path.join(root, part)):
            for name in sorted(names):
                if name.endswith((".h", ".cc")):
                    yield os.path.relpath(os.path.join(directory, name), root)


def offences_of(path, text):
    part = path.split("/", 1)[0]
    for included in INCLUDE.findall(text):
        other = included.split("/", 1)[0]
        if other in MAY_INCLUDE and other != part and other not in MAY_INCLUDE[part]:
            yield f"{path}: {part} must not include {included} of {other}"
        if other == "tests":
            yield f"{path}: a product file must not include {included}"
        for library, (looks, adapters) in ADAPTERS.items():
            if re.fullmatch(looks, included) and not any(
                    fnmatch.fnmatch(path, adapter) for adapter in adapters):
                yield f"{path}: only adapters see {library}, this file includes {included}"


def check(root):
    found = []
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            found += offences_of(path, file.read())
    return found


def main():
    found = check(sys.argv[1])
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
