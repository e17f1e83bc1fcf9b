#include "common/utf8.h"

#include <gtest/gtest.h>

#include "common/status.h"

namespace appendfs {
namespace {

TEST(Utf8, ValidText_IsLeftAlone) {
  for (const char* text : {"", "plain", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x93\x9c",
                           "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(ToValidUtf8(text), text);
}

TEST(Utf8, OtherBytes_AreWrittenAsHex) {
  EXPECT_EQ(ToValidUtf8("a\xff\xfe"
                        "b"),
            "a\\xff\\xfeb");
  EXPECT_EQ(ToValidUtf8("\xc3"), "\\xc3");                             // cut off
  EXPECT_EQ(ToValidUtf8("\xe2\x82x"), "\\xe2\\x82x");                  // the same, inside
  EXPECT_EQ(ToValidUtf8("\xc0\xaf"), "\\xc0\\xaf");                    // overlong
  EXPECT_EQ(ToValidUtf8("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(ToValidUtf8("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // too large
}

TEST(Utf8, EveryByteInAnError_CanBeRead) {
  std::string name;
  for (int byte = 1; byte < 256; ++byte) name.push_back(static_cast<char>(byte));
  v1::Error read;
  ASSERT_TRUE(read.ParseFromString(ToProto(MakeError(v1::NO_ENTRY, name)).SerializeAsString()));
  EXPECT_TRUE(HasReason(FromProto(read), v1::NO_ENTRY));
}

}  // namespace
}  // namespace appendfs
