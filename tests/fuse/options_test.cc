#include "fuse/options.h"

#include <gtest/gtest.h>

#include <tuple>

namespace appendfs::fuse {
namespace {

using std::chrono::milliseconds;

TEST(ParseSource, HostAndPort_MountsTheWholeNamespace) {
  MountOptions options;
  ASSERT_TRUE(ParseSource("logs.example:9400", options).ok());
  EXPECT_EQ(options.master, "logs.example:9400");
  EXPECT_EQ(options.subdirectory, "/");
  EXPECT_EQ(options.source, "logs.example:9400");
}

TEST(ParseSource, Subdirectory_BecomesTheRoot) {
  MountOptions options;
  ASSERT_TRUE(ParseSource("h:9400/web/nginx/", options).ok());
  EXPECT_EQ(options.subdirectory, "/web/nginx");
  ASSERT_TRUE(ParseSource("h:9400/", options).ok());
  EXPECT_EQ(options.subdirectory, "/");
}

TEST(ParseSource, NoPort_TakesTheDefault) {
  MountOptions options;
  ASSERT_TRUE(ParseSource("h/a", options).ok());
  EXPECT_EQ(options.master, "h:9400");
  ASSERT_TRUE(ParseSource("a:1,b,[::1],[::1]:7", options).ok());
  EXPECT_EQ(options.master, "a:1,b:9400,[::1]:9400,[::1]:7");
}

TEST(ParseSource, Malformed_IsInvalid) {
  MountOptions options;
  for (const char* source : {"", "/path", ":9400", "h:port", "h:0", "h:70000", "a,,b"})
    EXPECT_TRUE(HasReason(ParseSource(source, options), v1::INVALID)) << source;
}

TEST(ApplyOptions, AllOfOurs_AreUnderstood) {
  MountOptions options;
  const absl::Status status = ApplyOptions(
      "ro,ack=commit,timeout=10s,connect_timeout=250ms,attr_timeout=0.5,entry_timeout=2,"
      "queue=16M,readahead=1G,cluster=abc,allow_other,nosuid,noatime",
      options);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(options.read_only);
  EXPECT_EQ(options.ack, Ack::kCommit);
  EXPECT_EQ(options.timeout, milliseconds(10000));
  EXPECT_EQ(options.connect_timeout, milliseconds(250));
  EXPECT_EQ(options.attr_timeout_seconds, 0.5);
  EXPECT_EQ(options.entry_timeout_seconds, 2.0);
  EXPECT_EQ(options.queue_bytes, 16u << 20);
  EXPECT_EQ(options.readahead_bytes, 1u << 30);
  EXPECT_EQ(options.cluster_uuid, "abc");
  EXPECT_EQ(options.allow_other, true);
  EXPECT_EQ(options.kernel_options, (std::vector<std::string>{"nosuid", "noatime"}));
}

TEST(ApplyOptions, LaterOptions_Win) {
  MountOptions options;
  ASSERT_TRUE(ApplyOptions("ro,rw,ack=commit,ack=buffered,timeout=5,", options).ok());
  EXPECT_FALSE(options.read_only);
  EXPECT_EQ(options.ack, Ack::kBuffered);
  EXPECT_EQ(options.timeout, milliseconds(5000));
}

TEST(ApplyOptions, Sync_MeansCommit) {
  MountOptions options;
  ASSERT_TRUE(ApplyOptions("sync", options).ok());
  EXPECT_EQ(options.ack, Ack::kCommit);
}

TEST(ApplyOptions, WhatMountKeepsForItself_IsSkipped) {
  MountOptions options;
  EXPECT_TRUE(ApplyOptions("defaults,_netdev,nofail,noauto,user,x-systemd.automount,"
                           "x-systemd.idle-timeout=60,comment=x,relatime",
                           options)
                  .ok());
  EXPECT_TRUE(options.kernel_options.empty());
}

TEST(ApplyOptions, Unknown_IsNamed) {
  MountOptions options;
  const absl::Status status = ApplyOptions("ro,frobnicate=1", options);
  ASSERT_TRUE(HasReason(status, v1::INVALID));
  EXPECT_NE(std::string(status.message()).find("\"frobnicate\""), std::string::npos) << status;
}

TEST(ApplyOptions, Foreground_IsNotDebug) {
  MountOptions options;
  ASSERT_TRUE(ApplyOptions("foreground", options).ok());
  EXPECT_TRUE(options.foreground);
  EXPECT_FALSE(options.debug);
}

TEST(ApplyOptions, BadValue_SaysWhatIsAllowed) {
  for (const auto& [list, wanted] :
       {std::pair("ack=later", "buffered or commit"), std::pair("ack", "needs a value"),
        std::pair("timeout=soon", "a duration like"), std::pair("timeout=0", "between"),
        std::pair("attr_timeout=-1", "a number of seconds"), std::pair("queue=1K", "a size like"),
        std::pair("queue=", "a size like"), std::pair("queue=99999999999G", "a size like"),
        std::pair("ro=1", "takes no value"), std::pair("cluster", "uuid")}) {
    MountOptions options;
    const absl::Status status = ApplyOptions(list, options);
    ASSERT_TRUE(HasReason(status, v1::INVALID)) << list;
    EXPECT_NE(std::string(status.message()).find(wanted), std::string::npos) << status;
  }
}

}  // namespace
}  // namespace appendfs::fuse
