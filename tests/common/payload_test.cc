#include "common/rpc/payload.h"

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "proto/chunkserver.pb.h"

namespace appendfs {
namespace {

v1::AppendRequest Header() {
  v1::AppendRequest header;
  for (int i = 1; i <= 3; ++i) {
    auto* batch = header.add_batches();
    batch->set_handle(i);
    batch->set_sequence(1000 + i);
    batch->set_crc32c(0xdeadbeef);
  }
  return header;
}

std::string Flat(const grpc::ByteBuffer& wire) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(wire.Dump(&slices).ok());
  std::string bytes;
  for (const auto& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

grpc::ByteBuffer Wire(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

// As gRPC delivers what came in several reads.
grpc::ByteBuffer WireInPieces(const std::string& bytes, size_t piece) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += piece) slices.emplace_back(bytes.substr(at, piece));
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string Field(const v1::AppendRequest& message) { return message.SerializeAsString(); }
std::string PayloadField(const std::string& payload) {
  v1::AppendRequest message;
  message.set_payload(payload);
  return message.SerializeAsString();
}

class PayloadSizes : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Payload, PayloadSizes,
                         testing::Values(0, 1, 22, 127, 128, 2047, 2048, 2049, 65536, 8 << 20));

TEST_P(PayloadSizes, RoundTrip_OnePart_SameHeaderAndBytes) {
  const std::string bytes(GetParam(), 'x');
  grpc::ByteBuffer wire = SerializeWithPayload(Header(), Buffer::From(bytes));
  v1::AppendRequest parsed;
  auto payload = ParseWithPayload(wire, parsed);
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_EQ(payload->view(), bytes);
  EXPECT_EQ(parsed.SerializeAsString(), Header().SerializeAsString());
  EXPECT_TRUE(parsed.payload().empty());
}

TEST_P(PayloadSizes, Wire_IsThatOfTheMessage) {
  const std::string bytes(GetParam(), 'y');
  v1::AppendRequest whole = Header();
  whole.set_payload(bytes);
  EXPECT_EQ(Flat(SerializeWithPayload(Header(), Buffer::From(bytes))), whole.SerializeAsString());
}

TEST_P(PayloadSizes, InPieces_StillContiguous) {
  std::mt19937 random(GetParam());
  std::string bytes(GetParam(), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  v1::AppendRequest whole = Header();
  whole.set_payload(bytes);
  v1::AppendRequest parsed;
  auto payload = ParseWithPayload(WireInPieces(whole.SerializeAsString(), 1000), parsed);
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_EQ(payload->view(), bytes);
  EXPECT_EQ(parsed.batches_size(), 3);
}

TEST(Payload, ManyParts_ShortAndLong_FollowEachOther) {
  std::vector<Buffer> parts;
  std::string expected;
  for (size_t length : {10, 5000, 0, 20, 30, 2048, 3000, 1}) {
    std::string part(length, static_cast<char>('a' + parts.size()));
    expected += part;
    parts.push_back(Buffer::From(part));
  }
  grpc::ByteBuffer wire = SerializeWithPayload(Header(), parts);
  v1::AppendRequest parsed;
  auto payload = ParseWithPayload(wire, parsed);
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_EQ(payload->view(), expected);
}

TEST(Payload, LongPart_TravelsByReference_AndIsReleased) {
  auto owner = std::make_shared<const std::string>(1 << 20, 'z');
  std::weak_ptr<const std::string> watch = owner;
  const char* data = owner->data();
  {
    grpc::ByteBuffer wire = SerializeWithPayload(Header(), Buffer(owner, *owner));
    owner.reset();
    EXPECT_FALSE(watch.expired());
    std::vector<grpc::Slice> slices;
    ASSERT_TRUE(wire.Dump(&slices).ok());
    ASSERT_EQ(slices.size(), 2u);
    EXPECT_EQ(reinterpret_cast<const char*>(slices[1].begin()), data);
  }
  EXPECT_TRUE(watch.expired());
}

TEST(Payload, ParsedBytes_OutliveTheWire) {
  Buffer payload;
  for (const std::string& bytes : {std::string("short"), std::string(100'000, 'l')}) {
    {
      grpc::ByteBuffer wire = SerializeWithPayload(v1::AppendRequest(), Buffer::From(bytes));
      v1::AppendRequest parsed;
      payload = *ParseWithPayload(wire, parsed);
    }
    EXPECT_EQ(payload.view(), bytes);
  }
}

TEST(Payload, AnyOrder_Parses) {
  const std::string header = Field(Header());
  for (const std::string& bytes : {PayloadField("data") + header, header + PayloadField("data")}) {
    v1::AppendRequest parsed;
    auto payload = ParseWithPayload(Wire(bytes), parsed);
    ASSERT_TRUE(payload.ok()) << payload.status();
    EXPECT_EQ(payload->view(), "data");
    EXPECT_EQ(parsed.batches_size(), 3);
  }
}

TEST(Payload, NoPayload_EmptyBuffer_OldHeaderForgotten) {
  v1::AppendRequest parsed = Header();
  auto payload = ParseWithPayload(Wire(""), parsed);
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_TRUE(payload->empty());
  EXPECT_EQ(parsed.batches_size(), 0);
}

TEST(Payload, UnknownFields_OfANewerPeer_AreSkipped) {
  const std::string unknown =
      "\xa2\x06\x03"  // field 100, three bytes
      "abc";
  v1::AppendRequest parsed;
  auto payload =
      ParseWithPayload(Wire(unknown + Field(Header()) + PayloadField("p") + unknown), parsed);
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_EQ(payload->view(), "p");
  EXPECT_EQ(parsed.batches_size(), 3);
}

TEST(Payload, TruncatedAnywhere_NeverMoreThanCame) {
  v1::AppendRequest whole = Header();
  whole.set_payload("0123456789");
  const std::string bytes = whole.SerializeAsString();
  for (size_t length = 0; length < bytes.size(); ++length) {
    v1::AppendRequest parsed;
    auto payload = ParseWithPayload(Wire(bytes.substr(0, length)), parsed);
    if (payload.ok()) {  // cut between two fields
      EXPECT_TRUE(payload->empty()) << length;
    } else {
      EXPECT_EQ(ReasonOf(payload.status()), v1::INVALID) << length;
    }
  }
}

TEST(Payload, Hostile_IsRefused) {
  const std::vector<std::string> wires = {
      std::string("\x7a\xff\xff\xff\xff\x0f", 6),                           // longer than what came
      std::string("\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11),      // 2^64 - 1
      std::string("\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12),  // no varint
      std::string("\x7a", 1),                                               // no length
      std::string("\x7a\x80\x80\x80\x80\x08x", 7),                          // 2^31
      std::string("\x78\x01", 2),                                           // payload as a number
      std::string("\x00\x00", 2),                                           // field 0
      std::string("\x07", 1),                                               // wire type 7
      std::string("\x0c", 1),                                               // end of no group
      std::string(200, '\x0b'),        // groups without end, nested
      std::string("\x12\x02\x08", 3),  // a batch cut short
      std::string("\x12\x01\xff", 3),  // a batch of junk
      PayloadField("a") + PayloadField("b"),
  };
  for (const std::string& wire : wires) {
    v1::AppendRequest parsed;
    auto payload = ParseWithPayload(Wire(wire), parsed);
    EXPECT_FALSE(payload.ok()) << testing::PrintToString(wire);
    EXPECT_EQ(ReasonOf(payload.status()), v1::INVALID);
  }
}

TEST(Payload, RandomBytes_NeverCrash) {
  const uint32_t seed = 7;
  std::mt19937 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    v1::AppendRequest whole = Header();
    whole.set_payload("payload");
    std::string bytes = whole.SerializeAsString();
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    v1::AppendRequest parsed;
    auto payload = ParseWithPayload(Wire(bytes), parsed);
    if (payload.ok()) {
      ASSERT_LE(payload->size(), bytes.size()) << "seed " << seed << " round " << round;
    }
  }
}

}  // namespace
}  // namespace appendfs
