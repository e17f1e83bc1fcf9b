#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/buffer.h"

namespace appendfs {

// The 64 bytes in front of a journal group; layout.h draws them.
struct GroupHeader {
  static constexpr uint64_t kBytes = 64;

  uint64_t journal_id = 0;
  uint64_t sequence = 0;
  uint64_t previous = 0;
  uint64_t durable = 0;
  uint32_t records = 0;
  uint32_t record_bytes = 0;
  uint64_t payload_bytes = 0;
  uint32_t records_crc32c = 0;

  // Header, records and payloads, without the padding.
  uint64_t total_bytes() const { return kBytes + record_bytes + payload_bytes; }

  std::string Encode() const;
  // None: no header of any journal.
  static std::optional<GroupHeader> Decode(std::string_view bytes);
};

// `bytes` rounded up to where the next group may begin.
uint64_t AlignGroup(uint64_t bytes);

// Puts one group together for one gathered write. Small payloads are copied
// behind each other, large ones referenced.
class GroupWriter {
 public:
  // `record`: from EncodeRecord; `payload` only of appends.
  std::string& records() { return records_; }
  void CountRecord() { ++count_; }
  void AddPayload(const Buffer& payload);

  // The whole group, aligned. Views live as long as the writer.
  const std::vector<std::string_view>& Finish(GroupHeader header);
  uint64_t aligned_bytes() const {
    return AlignGroup(GroupHeader::kBytes + records_.size() + payload_bytes_);
  }

 private:
  struct Run {
    size_t begin = 0, length = 0;  // of small_, if `large` is empty
    Buffer large;
  };
  std::string records_, small_, header_, padding_;
  uint32_t count_ = 0;
  uint64_t payload_bytes_ = 0;
  std::vector<Run> runs_;
  std::vector<std::string_view> parts_;
};

}  // namespace appendfs
