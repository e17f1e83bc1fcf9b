#include "chunkserver/store/record.h"

#include "chunkserver/store/byte_codec.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

enum class Type : uint8_t {
  kCreate = 1,
  kAppend = 2,
  kFence = 3,
  kConform = 4,
  kDelete = 5,
  kDamage = 6,
};
constexpr uint8_t kSealFlag = 1;

// Writes the fixed front; the body's length is filled in at the end.
class RecordWriter {
 public:
  RecordWriter(std::string& out, Type type, ChunkHandle handle, uint8_t flags = 0)
      : out_(out), start_(out.size()), writer_(out) {
    writer_.U8(static_cast<uint8_t>(type));
    writer_.U8(flags);
    writer_.U16(0);
    writer_.U32(0);
    writer_.U64(handle.value());
  }
  ~RecordWriter() {
    auto length = static_cast<uint32_t>(out_.size() - start_ - 16);
    for (int i = 0; i < 4; ++i) out_[start_ + 4 + i] = static_cast<char>(length >> (8 * i));
  }
  ByteWriter* operator->() { return &writer_; }

 private:
  std::string& out_;
  const size_t start_;
  ByteWriter writer_;
};

void Encode(const CreateReplica& create, std::string& out) {
  RecordWriter record(out, Type::kCreate, create.identity.handle);
  record->U64(create.identity.inode.value());
  record->U64(create.identity.base_offset);
  record->U64(create.identity.capacity);
  record->U64(create.epoch.value());
  record->U64(create.mtime_ns);
  record->String(create.memory.SerializeAsString());
}

void Encode(const AppendRecord& append, std::string& out) {
  EncodeAppend(append.batch, append.committed_length, out);
}

void Encode(const FenceReplica& fence, std::string& out) {
  RecordWriter record(out, Type::kFence, fence.handle);
  record->U64(fence.epoch.value());
}

void Encode(const ConformRecord& conform, std::string& out) {
  const ConformReplica& change = conform.change;
  RecordWriter record(out, Type::kConform, change.handle, change.seal ? kSealFlag : 0);
  record->U64(change.epoch.value());
  record->U64(change.length);
  record->U64(change.mtime_ns);
  record->U32(conform.last_block_crc32c);
  record->String(change.memory.SerializeAsString());
}

void Encode(const DeleteReplica& removal, std::string& out) {
  RecordWriter record(out, Type::kDelete, removal.handle);
}

void Encode(const DamageRecord& damage, std::string& out) {
  RecordWriter record(out, Type::kDamage, damage.handle);
  record->String(damage.why);
}

bool Parse(std::string_view bytes, v1::DedupMemory& into) {
  return into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

ChunkHandle HandleOf(const JournalRecord& record) {
  struct Visitor {
    ChunkHandle operator()(const CreateReplica& r) { return r.identity.handle; }
    ChunkHandle operator()(const AppendRecord& r) { return r.batch.handle; }
    ChunkHandle operator()(const FenceReplica& r) { return r.handle; }
    ChunkHandle operator()(const ConformRecord& r) { return r.change.handle; }
    ChunkHandle operator()(const DeleteReplica& r) { return r.handle; }
    ChunkHandle operator()(const DamageRecord& r) { return r.handle; }
  };
  return std::visit(Visitor(), record);
}

void EncodeRecord(const JournalRecord& record, std::string& out) {
  std::visit([&](const auto& r) { Encode(r, out); }, record);
}

void EncodeAppend(const AppendBatch& batch, uint64_t committed_length, std::string& out) {
  RecordWriter record(out, Type::kAppend, batch.handle);
  record->U64(batch.epoch.value());
  record->U64(batch.offset);
  record->U32(static_cast<uint32_t>(batch.payload.size()));
  record->U32(batch.crc32c);
  record->U64(batch.client.value());
  record->U64(batch.sequence.value());
  record->U64(batch.mtime_ns);
  record->U64(committed_length);
}

absl::StatusOr<std::vector<JournalRecord>> DecodeRecords(std::string_view section, uint32_t count,
                                                         const Buffer& payload) {
  std::vector<JournalRecord> records;
  ByteReader reader(section);
  uint64_t payload_at = 0;
  for (uint32_t i = 0; i < count; ++i) {
    auto type = static_cast<Type>(reader.U8());
    uint8_t flags = reader.U8();
    reader.U16();
    uint32_t length = reader.U32();
    ChunkHandle handle(reader.U64());
    ByteReader body(reader.Bytes(length));
    bool parsed = true;
    switch (type) {
      case Type::kCreate: {
        CreateReplica create;
        create.identity = {handle, InodeId(body.U64()), body.U64(), body.U64()};
        create.epoch = Epoch(body.U64());
        create.mtime_ns = body.U64();
        parsed = Parse(body.String(), create.memory);
        records.emplace_back(std::move(create));
        break;
      }
      case Type::kAppend: {
        AppendRecord append;
        AppendBatch& batch = append.batch;
        batch.handle = handle;
        batch.epoch = Epoch(body.U64());
        batch.offset = body.U64();
        uint32_t payload_length = body.U32();
        batch.crc32c = body.U32();
        batch.client = ClientId(body.U64());
        batch.sequence = Sequence(body.U64());
        batch.mtime_ns = body.U64();
        append.committed_length = body.U64();
        batch.payload = payload.Slice(payload_at, payload_length);
        payload_at += payload_length;
        parsed = payload_at <= payload.size();
        records.emplace_back(std::move(append));
        break;
      }
      case Type::kFence: records.emplace_back(FenceReplica{handle, Epoch(body.U64())}); break;
      case Type::kConform: {
        ConformRecord conform;
        conform.change.handle = handle;
        conform.change.epoch = Epoch(body.U64());
        conform.change.length = body.U64();
        conform.change.mtime_ns = body.U64();
        conform.change.seal = flags & kSealFlag;
        conform.last_block_crc32c = body.U32();
        parsed = Parse(body.String(), conform.change.memory);
        records.emplace_back(std::move(conform));
        break;
      }
      case Type::kDelete: records.emplace_back(DeleteReplica{handle}); break;
      case Type::kDamage:
        records.emplace_back(DamageRecord{handle, std::string(body.String())});
        break;
      default: parsed = false;
    }
    if (!parsed || !body.AtEnd() || !reader.ok())
      return MakeError(v1::VERSION_MISMATCH,
                       StrCat("journal record of type ", static_cast<int>(type), ", chunk=", handle,
                              ", is not known to this program"));
  }
  if (!reader.AtEnd())
    return MakeError(v1::VERSION_MISMATCH, "journal group holds more than its records");
  return records;
}

}  // namespace appendfs
