#include "common/rpc/payload.h"
#include "common/str_cat.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/slice.h>

#include <climits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace appendfs {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

constexpr int kPayloadField = 15;
constexpr uint32_t kPayloadTag =
    WireFormatLite::MakeTag(kPayloadField, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

// A slice of its own costs two allocations and a write vector: shorter pieces
// are copied together instead.
constexpr size_t kCopyBelowBytes = 2048;

grpc::Slice SliceOf(std::string bytes) {
  auto* owner = new std::string(std::move(bytes));
  return grpc::Slice(
      owner->data(), owner->size(), [](void* data) { delete static_cast<std::string*>(data); },
      owner);
}

grpc::Slice SliceOf(const Buffer& buffer) {
  using Owner = std::shared_ptr<const void>;
  return grpc::Slice(
      const_cast<char*>(buffer.data()), buffer.size(),
      [](void* data) { delete static_cast<Owner*>(data); }, new Owner(buffer.owner()));
}

void AppendVarint(uint64_t value, std::string& out) {
  uint8_t bytes[10];
  uint8_t* end = CodedOutputStream::WriteVarint64ToArray(value, bytes);
  out.append(reinterpret_cast<char*>(bytes), static_cast<size_t>(end - bytes));
}

absl::Status Malformed(std::string_view what) {
  return MakeError(v1::INVALID, StrCat("malformed message: ", what));
}

// One contiguous view of the received bytes, with what keeps them alive.
absl::StatusOr<Buffer> Contiguous(const grpc::ByteBuffer& wire) {
  auto slice = std::make_shared<grpc::Slice>();
  if (!wire.Valid()) return Malformed("no bytes");
  if (!wire.TrySingleSlice(slice.get()).ok() && !wire.DumpToSingleSlice(slice.get()).ok())
    return Malformed("unreadable bytes");
  // Short slices hold their bytes in themselves: look only now that it rests.
  std::string_view view(reinterpret_cast<const char*>(slice->begin()), slice->size());
  return Buffer(std::move(slice), view);
}

struct PayloadField {
  size_t field_begin = 0, field_end = 0;  // with tag and length
  size_t length = 0;                      // of the payload, which ends at field_end
};

// Finds the payload among the top-level fields; the last one counts.
absl::StatusOr<std::optional<PayloadField>> FindPayload(std::string_view bytes) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  std::optional<PayloadField> found;
  for (;;) {
    const auto begin = static_cast<size_t>(in.CurrentPosition());
    const uint32_t tag = in.ReadTag();
    if (tag == 0) {
      if (begin != bytes.size()) return Malformed("bad field tag");
      return found;
    }
    if (tag == kPayloadTag) {
      uint32_t length = 0;
      if (found) return Malformed("two payloads");
      if (!in.ReadVarint32(&length) || length > bytes.size() || !in.Skip(static_cast<int>(length)))
        return Malformed("truncated payload");
      found = PayloadField{begin, static_cast<size_t>(in.CurrentPosition()), length};
    } else if (WireFormatLite::GetTagFieldNumber(tag) == kPayloadField) {
      return Malformed("payload of a wrong type");
    } else if (!WireFormatLite::SkipField(&in, tag)) {
      return Malformed("truncated field");
    }
  }
}

absl::Status ParseHeader(std::string_view bytes, google::protobuf::MessageLite& header) {
  if (header.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::OkStatus();
  return Malformed(StrCat("not a ", header.GetTypeName()));
}

}  // namespace

grpc::ByteBuffer SerializeWithPayload(const google::protobuf::MessageLite& header,
                                      std::span<const Buffer> payload) {
  uint64_t total = 0;
  for (const Buffer& part : payload) total += part.size();

  std::vector<grpc::Slice> slices;
  std::string run;  // header and short parts that are not in a slice yet
  header.AppendToString(&run);
  if (total != 0) {
    AppendVarint(kPayloadTag, run);
    AppendVarint(total, run);
  }
  for (const Buffer& part : payload) {
    if (part.size() < kCopyBelowBytes) {
      run.append(part.view());
      continue;
    }
    if (!run.empty()) slices.push_back(SliceOf(std::exchange(run, {})));
    slices.push_back(SliceOf(part));
  }
  if (!run.empty()) slices.push_back(SliceOf(std::move(run)));
  return grpc::ByteBuffer(slices.data(), slices.size());
}

absl::StatusOr<Buffer> ParseWithPayload(const grpc::ByteBuffer& wire,
                                        google::protobuf::MessageLite& header) {
  header.Clear();
  APPENDFS_ASSIGN_OR_RETURN(Buffer bytes, Contiguous(wire));
  if (bytes.size() > INT_MAX) return Malformed("too long");
  APPENDFS_ASSIGN_OR_RETURN(std::optional<PayloadField> field, FindPayload(bytes.view()));
  if (!field) {
    APPENDFS_RETURN_IF_ERROR(ParseHeader(bytes.view(), header));
    return Buffer();
  }
  std::string_view before = bytes.view().substr(0, field->field_begin);
  std::string_view after = bytes.view().substr(field->field_end);
  APPENDFS_RETURN_IF_ERROR(after.empty() ? ParseHeader(before, header)
                                         : ParseHeader(StrCat(before, after), header));
  return bytes.Slice(field->field_end - field->length, field->length);
}

}  // namespace appendfs
