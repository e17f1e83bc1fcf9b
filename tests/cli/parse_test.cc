#include "cli/parse.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "cli/cluster_verbs.h"

namespace appendfs::cli {
namespace {

using std::chrono::milliseconds;

TEST(Parse, Duration_EveryUnit_IsKnown) {
  EXPECT_EQ(*ParseDuration("30s"), milliseconds(30000));
  EXPECT_EQ(*ParseDuration("30"), milliseconds(30000));
  EXPECT_EQ(*ParseDuration("500ms"), milliseconds(500));
  EXPECT_EQ(*ParseDuration("2m"), milliseconds(120000));
  EXPECT_EQ(*ParseDuration("1h"), milliseconds(3600000));
}

TEST(Parse, Duration_Malformed_IsInvalid) {
  for (const char* text :
       {"", "s", "-1s", "1.5s", "10 s", "1d", "99999999999999999999s", "9223372036854775807h"})
    EXPECT_TRUE(HasReason(ParseDuration(text).status(), v1::INVALID)) << text;
}

TEST(Parse, Bytes_UnitsOfEitherCase_ArePowersOf1024) {
  EXPECT_EQ(*ParseBytes("0"), 0u);
  EXPECT_EQ(*ParseBytes("4096"), 4096u);
  EXPECT_EQ(*ParseBytes("64k"), 65536u);
  EXPECT_EQ(*ParseBytes("64K"), 65536u);
  EXPECT_EQ(*ParseBytes("1MiB"), 1u << 20);
  EXPECT_EQ(*ParseBytes("2G"), 2ull << 30);
  EXPECT_EQ(*ParseBytes("1t"), 1ull << 40);
}

TEST(Parse, Bytes_Malformed_IsInvalid) {
  for (const char* text : {"", "k", "-1", "1.5M", "1kk", "1x", "0x10", "99999999999999999999"})
    EXPECT_TRUE(HasReason(ParseBytes(text).status(), v1::INVALID)) << text;
}

TEST(Parse, Mode_OctalDigitsOnly) {
  EXPECT_EQ(*ParseMode("755"), 0755u);
  EXPECT_EQ(*ParseMode("1777"), 01777u);
  for (const char* text : {"", "8", "u+x", "77777", "-1"})
    EXPECT_TRUE(HasReason(ParseMode(text).status(), v1::INVALID)) << text;
}

TEST(Parse, Signal_NameOrNumber_IsTheNumber) {
  EXPECT_EQ(*ParseSignal("KILL"), SIGKILL);
  EXPECT_EQ(*ParseSignal("SIGSTOP"), SIGSTOP);
  EXPECT_EQ(*ParseSignal("15"), SIGTERM);
  for (const char* text : {"", "SIG", "kill -9", "0", "999"})
    EXPECT_TRUE(HasReason(ParseSignal(text).status(), v1::INVALID)) << text;
}

}  // namespace
}  // namespace appendfs::cli
