"""The rule's own test, then the rule on the tree: include_rule_test.py ROOT"""

import sys
import unittest

import include_rule

ROOT = sys.argv.pop(1)


def offences(path, *included):
    return list(include_rule.offences_of(path, "".join(f"#include {i}\n" for i in included)))


class IncludeRule(unittest.TestCase):
    def test_allowed_directions_pass(self):
        self.assertEqual(offences("master/a.cc", '"master/b.h"', '"common/c.h"', '"proto/d.pb.h"',
                                  "<vector>"), [])
        self.assertEqual(offences("cli/a.cc", '"client/appendfs.h"', '"common/c.h"'), [])

    def test_other_directions_are_found(self):
        for path, included in [("common/a.h", '"master/b.h"'), ("master/a.cc", '"client/b.h"'),
                               ("chunkserver/a.cc", '"master/b.h"'), ("fuse/a.cc", '"cli/b.h"'),
                               ("client/a.cc", '"chunkserver/b.h"'), ("fuse/a.cc", '"tests/b.h"')]:
            self.assertEqual(len(offences(path, included)), 1, path)

    def test_libraries_only_in_adapters(self):
        self.assertEqual(offences("common/rpc/server.cc", "<grpcpp/server.h>"), [])
        for path, included in [("master/namespace/a.cc", "<grpcpp/server.h>"),
                               ("client/a.h", '"proto/master.grpc.pb.h"'),
                               ("client/a.cc", "<fuse3/fuse_lowlevel.h>"),
                               ("chunkserver/a.cc", "<rocksdb/db.h>")]:
            self.assertEqual(len(offences(path, included)), 1, path)

    def test_the_tree_keeps_the_rule(self):
        self.assertEqual(include_rule.check(ROOT), [])


unittest.main()
