#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/buffer.h"
#include "common/status.h"
#include "google/protobuf/message_lite.h"

namespace appendfs {

// What goes over a link (common/link/frame_link.h), all numbers little-endian:
//
//   greeting, once, by the side that connects
//     0  4  "AFS" and the number of this format, 1
//     4  1  kind of link
//     5  3  zero
//   frames, both ways
//     0  4  bytes of the header
//     4  4  bytes of the payload
//     8     header: a protobuf message
//           payload: bytes that protobuf never sees
//
// What the messages of a kind are stands in proto/chunkserver.proto and
// proto/master_calls.proto; who checks versions and identities is the first of them.

enum class LinkKind : uint8_t {
  kAppend = 1,     // AppendRequest, AppendReply
  kReplicate = 2,  // ReplicateRequest, ReplicateReply
  kCalls = 3,      // DataCall, DataAnswer
  kMaster = 4,     // MasterCall, MasterAnswer
};

inline constexpr size_t kGreetingBytes = 8;
inline constexpr size_t kFramePrefixBytes = 8;
inline constexpr size_t kMaxFrameHeaderBytes = 64u << 20;
inline constexpr size_t kMaxFramePayloadBytes = 64u << 20;

std::string Greeting(LinkKind kind);
// None: not the beginning of a link of ours. `bytes` has kGreetingBytes.
std::optional<LinkKind> ReadGreeting(std::string_view bytes);

// Prefix and header.
std::string FrameHead(const google::protobuf::MessageLite& header, size_t payload_bytes);

// Cuts a byte stream into frames: tells where the next bytes are to be read
// to, and gives out what is complete. A long payload is read right into the
// buffer that is handed on. Not thread-safe, no I/O.
class FrameParser {
 public:
  struct Frame {
    std::string_view header;  // until the next call of Next or Space
    Buffer payload;
  };

  // Never empty. Then say how much came.
  std::span<char> Space();
  void Filled(size_t bytes);
  // The next whole frame, none if more bytes are needed. INVALID: not frames of ours.
  absl::StatusOr<std::optional<Frame>> Next();

 private:
  size_t have() const { return filled_ - taken_; }

  std::unique_ptr<char[]> inbox_;
  size_t size_ = 0;    // of the inbox
  size_t taken_ = 0;   // handed out of it
  size_t filled_ = 0;  // read into it
  // A payload on its way that the inbox does not hold.
  std::string header_;
  std::shared_ptr<char[]> long_payload_;
  size_t long_bytes_ = 0, long_filled_ = 0;
};

// Parses the header of a frame. INVALID: it is not a `Message`.
template <class Message>
absl::StatusOr<Message> ParseHeader(const FrameParser::Frame& frame) {
  Message message;
  if (!message.ParseFromArray(frame.header.data(), static_cast<int>(frame.header.size())))
    return MakeError(v1::INVALID, "a message that cannot be read");
  return message;
}

}  // namespace appendfs
