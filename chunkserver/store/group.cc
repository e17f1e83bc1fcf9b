#include "chunkserver/store/group.h"

#include "chunkserver/store/byte_codec.h"
#include "chunkserver/store/layout.h"
#include "common/crc32c.h"

namespace appendfs {
namespace {

constexpr std::string_view kMagic = "AFSGRP01";
constexpr size_t kCopyBelow = 4096;  // cheaper copied than as one more part of a write

}  // namespace

std::string GroupHeader::Encode() const {
  std::string out;
  out.reserve(kBytes);
  ByteWriter writer(out);
  writer.Bytes(kMagic);
  writer.U64(journal_id);
  writer.U64(sequence);
  writer.U64(previous);
  writer.U64(durable);
  writer.U32(records);
  writer.U32(record_bytes);
  writer.U64(payload_bytes);
  writer.U32(records_crc32c);
  writer.U32(Crc32c(out));
  return out;
}

std::optional<GroupHeader> GroupHeader::Decode(std::string_view bytes) {
  if (bytes.size() < kBytes || !bytes.starts_with(kMagic)) return std::nullopt;
  bytes = bytes.substr(0, kBytes);
  ByteReader reader(bytes.substr(kMagic.size()));
  GroupHeader header;
  header.journal_id = reader.U64();
  header.sequence = reader.U64();
  header.previous = reader.U64();
  header.durable = reader.U64();
  header.records = reader.U32();
  header.record_bytes = reader.U32();
  header.payload_bytes = reader.U64();
  header.records_crc32c = reader.U32();
  if (reader.U32() != Crc32c(bytes.substr(0, kBytes - 4))) return std::nullopt;
  return header;
}

uint64_t AlignGroup(uint64_t bytes) {
  return (bytes + layout::kGroupAlignment - 1) / layout::kGroupAlignment * layout::kGroupAlignment;
}

void GroupWriter::AddPayload(const Buffer& payload) {
  payload_bytes_ += payload.size();
  if (payload.size() >= kCopyBelow) {
    runs_.push_back({.large = payload});
    return;
  }
  if (runs_.empty() || !runs_.back().large.empty()) runs_.push_back({.begin = small_.size()});
  runs_.back().length += payload.size();
  small_.append(payload.view());
}

const std::vector<std::string_view>& GroupWriter::Finish(GroupHeader header) {
  header.records = count_;
  header.record_bytes = static_cast<uint32_t>(records_.size());
  header.payload_bytes = payload_bytes_;
  header.records_crc32c = Crc32c(records_);
  header_ = header.Encode();
  padding_.assign(aligned_bytes() - header.total_bytes(), '\0');
  parts_ = {header_, records_};
  for (const Run& run : runs_)
    parts_.push_back(run.large.empty() ? std::string_view(small_).substr(run.begin, run.length)
                                       : run.large.view());
  parts_.push_back(padding_);
  return parts_;
}

}  // namespace appendfs
