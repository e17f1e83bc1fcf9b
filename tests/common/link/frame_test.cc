#include "common/link/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "proto/chunkserver.pb.h"

namespace appendfs {
namespace {

v1::AppendReply Header(uint64_t handle) {
  v1::AppendReply header;
  header.add_outcomes()->set_handle(handle);
  return header;
}

std::string Wire(const v1::AppendReply& header, std::string_view payload) {
  return FrameHead(header, payload.size()).append(payload);
}

struct Received {
  uint64_t handle;
  std::string payload;
  auto operator<=>(const Received&) const = default;
};

// What a parser makes of `wire`, given in pieces of at most `piece` bytes.
std::vector<Received> Parse(std::string_view wire, size_t piece) {
  FrameParser parser;
  std::vector<Received> received;
  while (!wire.empty()) {
    std::span<char> space = parser.Space();
    EXPECT_FALSE(space.empty());
    const size_t count = std::min({piece, space.size(), wire.size()});
    std::copy_n(wire.data(), count, space.data());
    wire.remove_prefix(count);
    parser.Filled(count);
    while (true) {
      auto frame = parser.Next();
      EXPECT_TRUE(frame.ok()) << frame.status();
      if (!frame.ok() || !frame->has_value()) break;
      auto header = ParseHeader<v1::AppendReply>(**frame);
      EXPECT_TRUE(header.ok()) << header.status();
      received.push_back({header->outcomes(0).handle(), std::string((*frame)->payload.view())});
    }
  }
  return received;
}

TEST(Frame, AnyPieces_GiveTheSameFrames) {
  std::mt19937 random(7);
  std::vector<Received> sent;
  std::string wire;
  for (size_t bytes : {0, 1, 200, 65'000, 65'536, 300'000, 0, 5'000'000, 3}) {
    std::string payload(bytes, '\0');
    for (char& c : payload) c = static_cast<char>(random());
    sent.push_back({random(), payload});
    wire += Wire(Header(sent.back().handle), payload);
  }
  for (size_t piece : {1u, 7u, 4'000u, 65'536u, 1u << 30})
    EXPECT_TRUE(Parse(wire, piece) == sent) << piece;
}

TEST(Frame, HeaderLargerThanTheInbox_ArrivesWhole) {
  v1::AppendReply header = Header(5);
  header.mutable_refusal()->set_message(std::string(200'000, 'x'));
  const std::string wire = Wire(Header(4), "a") + Wire(header, "after") + Wire(Header(6), "");
  const std::vector<Received> expected = {{4, "a"}, {5, "after"}, {6, ""}};
  EXPECT_EQ(Parse(wire, 30'000), expected);
}

TEST(Frame, LengthsBeyondTheLimits_AreInvalid) {
  FrameParser parser;
  std::span<char> space = parser.Space();
  std::fill_n(space.begin(), kFramePrefixBytes, '\xff');
  parser.Filled(kFramePrefixBytes);
  EXPECT_EQ(ReasonOf(parser.Next().status()), v1::INVALID);
}

TEST(Frame, HeaderOfAnotherKind_IsInvalid) {
  EXPECT_EQ(ReasonOf(ParseHeader<v1::AppendReply>({"\xff\xff\xff", Buffer()}).status()),
            v1::INVALID);
}

TEST(Greeting, OfAnotherFormatOrKind_IsNotOurs) {
  EXPECT_EQ(ReadGreeting(Greeting(LinkKind::kReplicate)), LinkKind::kReplicate);
  std::string greeting = Greeting(LinkKind::kCalls);
  greeting[3] = 2;
  EXPECT_EQ(ReadGreeting(greeting), std::nullopt);
  greeting = Greeting(LinkKind::kCalls);
  greeting[4] = 9;
  EXPECT_EQ(ReadGreeting(greeting), std::nullopt);
  EXPECT_EQ(ReadGreeting("PRI * HT"), std::nullopt);
}

}  // namespace
}  // namespace appendfs
