#include "common/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace appendfs {
namespace {

std::string Bytes(size_t length, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(Crc32c, KnownVectors_AsPublished) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  // RFC 3720, B.4.
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) {
    rising.push_back(static_cast<char>(i));
    falling.push_back(static_cast<char>(31 - i));
  }
  EXPECT_EQ(Crc32c(rising), 0x46DD794Eu);
  EXPECT_EQ(Crc32c(falling), 0x113FDB5Cu);
}

TEST(Crc32c, Extend_AnySplit_SameAsWhole) {
  const std::string bytes = Bytes(300, 1);
  const uint32_t whole = Crc32c(bytes);
  for (size_t cut = 0; cut <= bytes.size(); ++cut)
    ASSERT_EQ(ExtendCrc32c(Crc32c(std::string_view(bytes).substr(0, cut)),
                           std::string_view(bytes).substr(cut)),
              whole)
        << cut;
}

TEST(Crc32c, Combine_AnySplit_SameAsWhole) {
  const std::string bytes = Bytes(300, 2);
  const uint32_t whole = Crc32c(bytes);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    std::string_view a = std::string_view(bytes).substr(0, cut);
    std::string_view b = std::string_view(bytes).substr(cut);
    ASSERT_EQ(CombineCrc32c(Crc32c(a), Crc32c(b), b.size()), whole) << cut;
  }
}

TEST(Crc32c, Combine_RandomLengths_SameAsWhole) {
  const uint32_t seed = 20240607;
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    const std::string a = Bytes(random() % 70'000, random());
    const std::string b = Bytes(random() % 70'000, random());
    ASSERT_EQ(CombineCrc32c(Crc32c(a), Crc32c(b), b.size()), Crc32c(a + b))
        << "seed " << seed << " round " << round;
  }
}

TEST(Crc32c, Combine_ThreeParts_IsAssociative) {
  const std::string a = Bytes(65536, 3), b = Bytes(1, 4), c = Bytes(4095, 5);
  const uint32_t left =
      CombineCrc32c(CombineCrc32c(Crc32c(a), Crc32c(b), b.size()), Crc32c(c), c.size());
  const uint32_t right =
      CombineCrc32c(Crc32c(a), CombineCrc32c(Crc32c(b), Crc32c(c), c.size()), b.size() + c.size());
  EXPECT_EQ(left, right);
  EXPECT_EQ(left, Crc32c(a + b + c));
}

TEST(Crc32c, FlippedBit_AlwaysSeen) {
  std::string bytes = Bytes(512, 6);
  const uint32_t whole = Crc32c(bytes);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_NE(Crc32c(bytes), whole) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

}  // namespace
}  // namespace appendfs
