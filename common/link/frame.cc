#include "common/link/frame.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/pages.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr char kMagic[4] = {'A', 'F', 'S', 1};
constexpr size_t kInboxBytes = 64u << 10;

void PutFixed32(uint32_t value, char* to) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<char>(value >> (8 * i));
}

uint32_t GetFixed32(const char* from) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(from[i])} << (8 * i);
  return value;
}

Buffer Copy(std::string_view bytes) {
  if (bytes.empty()) return Buffer();
  auto owner = std::make_shared_for_overwrite<char[]>(bytes.size());
  std::memcpy(owner.get(), bytes.data(), bytes.size());
  std::string_view view(owner.get(), bytes.size());
  return Buffer(std::move(owner), view);
}

}  // namespace

std::string Greeting(LinkKind kind) {
  std::string greeting(kMagic, sizeof(kMagic));
  greeting.push_back(static_cast<char>(kind));
  greeting.resize(kGreetingBytes);
  return greeting;
}

std::optional<LinkKind> ReadGreeting(std::string_view bytes) {
  if (bytes.substr(0, sizeof(kMagic)) != std::string_view(kMagic, sizeof(kMagic)))
    return std::nullopt;
  if (bytes.substr(5) != std::string_view("\0\0\0", 3)) return std::nullopt;
  switch (const auto kind = static_cast<LinkKind>(bytes[4])) {
    case LinkKind::kAppend:
    case LinkKind::kReplicate:
    case LinkKind::kCalls:
    case LinkKind::kMaster: return kind;
  }
  return std::nullopt;
}

std::string FrameHead(const google::protobuf::MessageLite& header, size_t payload_bytes) {
  const size_t header_bytes = header.ByteSizeLong();
  std::string head(kFramePrefixBytes + header_bytes, '\0');
  PutFixed32(static_cast<uint32_t>(header_bytes), head.data());
  PutFixed32(static_cast<uint32_t>(payload_bytes), head.data() + 4);
  header.SerializeWithCachedSizesToArray(
      reinterpret_cast<uint8_t*>(head.data() + kFramePrefixBytes));
  return head;
}

std::span<char> FrameParser::Space() {
  if (long_payload_ != nullptr)
    return {long_payload_.get() + long_filled_, long_bytes_ - long_filled_};
  if (inbox_ == nullptr) {
    inbox_ = std::make_unique_for_overwrite<char[]>(kInboxBytes);
    size_ = kInboxBytes;
  }
  if (taken_ == filled_) {
    taken_ = filled_ = 0;
  } else if (filled_ == size_) {
    size_t need = kInboxBytes;  // a long header grows the inbox
    if (have() >= kFramePrefixBytes)
      need = std::max<size_t>(need, kFramePrefixBytes + GetFixed32(&inbox_[taken_]));
    std::unique_ptr<char[]> larger = std::make_unique_for_overwrite<char[]>(need);
    const size_t kept = have();
    std::memcpy(larger.get(), &inbox_[taken_], kept);
    inbox_ = std::move(larger);
    size_ = need;
    taken_ = 0;
    filled_ = kept;
  }
  return {inbox_.get() + filled_, size_ - filled_};
}

void FrameParser::Filled(size_t bytes) {
  (long_payload_ != nullptr ? long_filled_ : filled_) += bytes;
}

absl::StatusOr<std::optional<FrameParser::Frame>> FrameParser::Next() {
  if (long_payload_ != nullptr) {
    if (long_filled_ < long_bytes_) return std::nullopt;
    std::shared_ptr<char[]> owner = std::move(long_payload_);
    std::string_view view(owner.get(), long_bytes_);
    return Frame{header_, Buffer(std::move(owner), view)};
  }
  if (have() < kFramePrefixBytes) return std::nullopt;
  const size_t header_bytes = GetFixed32(&inbox_[taken_]);
  const size_t payload_bytes = GetFixed32(&inbox_[taken_ + 4]);
  if (header_bytes > kMaxFrameHeaderBytes || payload_bytes > kMaxFramePayloadBytes)
    return MakeError(v1::INVALID, StrCat("a frame of ", header_bytes, " and ", payload_bytes,
                                         " bytes: these are not frames of ours"));
  const size_t body = have() - kFramePrefixBytes;
  if (body < header_bytes) return std::nullopt;
  const char* at = &inbox_[taken_ + kFramePrefixBytes];
  const std::string_view header(at, header_bytes);
  const std::string_view rest(at + header_bytes, std::min(body - header_bytes, payload_bytes));
  taken_ += kFramePrefixBytes + header_bytes + rest.size();
  if (rest.size() == payload_bytes) return Frame{header, Copy(rest)};
  header_ = header;
  long_payload_ = AllocatePages(payload_bytes);
  long_bytes_ = payload_bytes;
  long_filled_ = rest.size();
  std::memcpy(long_payload_.get(), rest.data(), rest.size());
  return std::nullopt;
}

}  // namespace appendfs
