#include "cli/format.h"

#include <gtest/gtest.h>

#include "cli/json.h"
#include "cli/progress.h"

namespace appendfs::cli {
namespace {

TEST(Format, ModeString_SpecialBits_AreShownAsLsDoes) {
  EXPECT_EQ(ModeString(v1::REGULAR, 0644), "-rw-r--r--");
  EXPECT_EQ(ModeString(v1::DIRECTORY, 01777), "drwxrwxrwt");
  EXPECT_EQ(ModeString(v1::REGULAR, 04755), "-rwsr-xr-x");
  EXPECT_EQ(ModeString(v1::REGULAR, 06644), "-rwSr-Sr--");
  EXPECT_EQ(ModeString(v1::SYMLINK, 0777), "lrwxrwxrwx");
  EXPECT_EQ(ModeString(v1::DIRECTORY, 01776), "drwxrwxrwT");
}

TEST(Format, HumanBytes_EverySize_NeedsFourColumnsAtMost) {
  EXPECT_EQ(HumanBytes(0), "0");
  EXPECT_EQ(HumanBytes(1023), "1023");
  EXPECT_EQ(HumanBytes(1024), "1.0K");
  EXPECT_EQ(HumanBytes(1536), "1.5K");
  EXPECT_EQ(HumanBytes(64ull << 20), "64M");
  EXPECT_EQ(HumanBytes((1ull << 30) - 1), "1.0G");
  EXPECT_EQ(HumanBytes(~0ull), "16E");
  for (int shift = 0; shift < 64; ++shift)
    for (uint64_t value : {(1ull << shift) - 1, 1ull << shift, 999ull << shift >> 1})
      EXPECT_LE(HumanBytes(value).size(), 4u) << value;
}

TEST(Format, IsoTime_Nanoseconds_AreAllThere) {
  EXPECT_EQ(IsoTime(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(IsoTime(1'700'000'000'000'000'001), "2023-11-14T22:13:20.000000001Z");
}

TEST(Format, PrintableName_OddBytes_AreEscaped) {
  EXPECT_EQ(PrintableName("plain.log"), "plain.log");
  EXPECT_EQ(PrintableName("gr\xc3\xb6\xc3\x9f"), "gr\xc3\xb6\xc3\x9f");
  EXPECT_EQ(PrintableName("a\nb\tc\\d\x1b[m"), "a\\nb\\tc\\\\d\\x1b[m");
  EXPECT_EQ(PrintableName("\xff\xc3"), "\\xff\\xc3");
}

TEST(Format, IsUtf8_OverlongAndSurrogates_AreNot) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("\xf0\x9f\x98\x80"));
  EXPECT_FALSE(IsUtf8("\xc0\xaf"));
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));
  EXPECT_FALSE(IsUtf8("\xf4\x90\x80\x80"));
  EXPECT_FALSE(IsUtf8("a\xc3"));
}

TEST(Format, Table_Columns_AreAlignedAndNotPaddedAtTheEnd) {
  Table table("lr");
  table.Add({"name", "size"});
  table.Add({"x", "10"});
  EXPECT_EQ(table.Render(), "name  size\nx       10\n");
  Table left("ll");
  left.Add({"a", "long"});
  left.Add({"bb", "x"});
  EXPECT_EQ(left.Render(), "a   long\nbb  x\n");
}

TEST(Format, Json_BytesThatAreNotText_AreGivenInHexToo) {
  Json json;
  AddBytes(json, "name", "ok");
  AddBytes(json, "odd", "\xff");
  EXPECT_EQ(ToText(json), R"({"name":"ok","odd":"\\xff","odd_hex":"ff"})");
}

TEST(Format, ProgressLine_AnyWidth_FitsTheTerminal) {
  EXPECT_EQ(Progress::Line("a.log", 512, 1024, 1, 79),
            "a.log  [####################                    ]   50%  512  512/s");
  EXPECT_EQ(Progress::Line("a.log", 512, 0, 1, 79), "a.log  512  512/s");
  for (int width = 1; width < 120; ++width)
    EXPECT_LE(Progress::Line("name", 10, 20, 0, width).size(), static_cast<size_t>(width));
}

}  // namespace
}  // namespace appendfs::cli
