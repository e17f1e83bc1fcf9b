#include "common/mount_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr std::string_view kTable =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "50 22 0:53 / /mnt/logs rw,nosuid,nodev - fuse.appendfs logs:9400/web "
    "rw,user_id=0,group_id=0,default_permissions\n"
    "51 22 0:54 / /mnt/a\\040b ro shared:7 master:2 - fuse.appendfs a:1,b:2 rw,user_id=1000\n"
    "52 22 0:55 / /mnt/other rw - fuse.sshfs host: rw,user_id=1000\n"
    "damaged line\n"
    "53 22 0:56 / /mnt/short rw -\n";

TEST(MountTableTest, OurMounts_AreListed) {
  const std::vector<MountEntry> table = ParseMountTable(kTable);
  ASSERT_EQ(table.size(), 2u);
  EXPECT_EQ(table[0].device, "0:53");
  EXPECT_EQ(table[0].mountpoint, "/mnt/logs");
  EXPECT_EQ(table[0].source, "logs:9400/web");
  EXPECT_EQ(table[0].options, "rw,nosuid,nodev");
  EXPECT_EQ(table[0].owner, 0u);
  EXPECT_EQ(table[1].mountpoint, "/mnt/a b");
  EXPECT_EQ(table[1].source, "a:1,b:2");
  EXPECT_EQ(table[1].owner, 1000u);
}

TEST(MountTableTest, MountedOver_TheUpperOneCounts) {
  const std::string again =
      StrCat(kTable, "60 50 0:60 / /mnt/logs rw - fuse.appendfs new:9400 rw,user_id=0\n",
             "61 51 0:61 / /mnt/a\\040b rw - tmpfs none rw\n");
  const std::vector<MountEntry> table = ParseMountTable(again);
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(FindMount(table, "/mnt/logs")->source, "new:9400");
  EXPECT_FALSE(FindMount(table, "/mnt/a b"));
}

TEST(MountTableTest, OwnTable_CanBeRead) { EXPECT_TRUE(ReadMountTable().ok()); }

TEST(MountTableTest, ControlSocket_IsNamedAfterTheDevice) {
  const MountEntry mount{.device = "0:53"};
  EXPECT_EQ(ControlSocketOf("/run/appendfs", mount), "/run/appendfs/mount-0-53.sock");
}

TEST(MountTableTest, RunDirectory_IsTheUsersOwn) {
  unsetenv("APPENDFS_RUN_DIR");
  EXPECT_EQ(RunDirectory(0), "/run/appendfs");
  setenv("XDG_RUNTIME_DIR", "/run/user/own", 1);
  const bool root = geteuid() == 0;
  EXPECT_EQ(RunDirectory(geteuid()), root ? "/run/appendfs" : "/run/user/own/appendfs");
  EXPECT_EQ(RunDirectory(123456), "/tmp/appendfs-123456");
  setenv("APPENDFS_RUN_DIR", "/elsewhere", 1);
  EXPECT_EQ(RunDirectory(0), "/elsewhere");
  unsetenv("APPENDFS_RUN_DIR");
}

}  // namespace
}  // namespace appendfs
