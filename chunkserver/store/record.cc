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
  kInPlace = 7,
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

void EncodeBatch(RecordWriter& record, const AppendBatch& batch, uint32_t length,
                 uint64_t committed_length) {
  record->U64(batch.epoch.value());
  record->U64(batch.offset);
  record->U32(length);
  record->U32(batch.crc32c);
  record->U64(batch.client.value());
  record->U64(batch.sequence.value());
  record->U64(batch.mtime_ns);
  record->U64(committed_length);
}

// The bytes of the batch are told apart, since they are elsewhere.
struct Batch {
  AppendBatch batch;
  uint32_t length = 0;
  uint64_t committed_length = 0;
};

Batch DecodeBatch(ChunkHandle handle, ByteReader& body) {
  Batch decoded;
  AppendBatch& batch = decoded.batch;
  batch.handle = handle;
  batch.epoch = Epoch(body.U64());
  batch.offset = body.U64();
  decoded.length = body.U32();
  batch.crc32c = body.U32();
  batch.client = ClientId(body.U64());
  batch.sequence = Sequence(body.U64());
  batch.mtime_ns = body.U64();
  decoded.committed_length = body.U64();
  return decoded;
}

void Encode(const AppendRecord& append, std::string& out) {
  RecordWriter record(out, Type::kAppend, append.batch.handle);
  EncodeBatch(record, append.batch, static_cast<uint32_t>(append.batch.payload.size()),
              append.committed_length);
}

void Encode(const InPlaceRecord& append, std::string& out) {
  RecordWriter record(out, Type::kInPlace, append.batch.handle);
  EncodeBatch(record, append.batch, append.length, append.committed_length);
  for (uint32_t sum : append.parts) record->U32(sum);
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
    ChunkHandle operator()(const InPlaceRecord& r) { return r.batch.handle; }
    ChunkHandle operator()(const FenceReplica& r) { return r.handle; }
    ChunkHandle operator()(const ConformRecord& r) { return r.change.handle; }
    ChunkHandle operator()(const DeleteReplica& r) { return r.handle; }
    ChunkHandle operator()(const DamageRecord& r) { return r.handle; }
  };
  return std::visit(Visitor(), record);
}

const AppendBatch* BatchOf(const JournalRecord& record) {
  if (const auto* append = std::get_if<AppendRecord>(&record)) return &append->batch;
  if (const auto* append = std::get_if<InPlaceRecord>(&record)) return &append->batch;
  return nullptr;
}

void EncodeRecord(const JournalRecord& record, std::string& out) {
  std::visit([&](const auto& r) { Encode(r, out); }, record);
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
        Batch decoded = DecodeBatch(handle, body);
        decoded.batch.payload = payload.Slice(payload_at, decoded.length);
        payload_at += decoded.length;
        parsed = payload_at <= payload.size();
        records.emplace_back(AppendRecord{std::move(decoded.batch), decoded.committed_length});
        break;
      }
      case Type::kInPlace: {
        Batch decoded = DecodeBatch(handle, body);
        InPlaceRecord append{.batch = std::move(decoded.batch),
                             .length = decoded.length,
                             .committed_length = decoded.committed_length};
        // A damaged count shows below: the body is read too far, or not to its end.
        const size_t parts = CountParts(append.batch.offset, append.length);
        for (size_t part = 0; part < parts && body.ok(); ++part) append.parts.push_back(body.U32());
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
