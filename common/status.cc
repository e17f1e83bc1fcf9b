#include "common/status.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "absl/strings/cord.h"
#include "common/str_cat.h"
#include "common/utf8.h"

namespace appendfs {
namespace {

constexpr std::string_view kPayloadUrl = "appendfs/reason";
constexpr std::string_view kErrnoUrl = "appendfs/errno-of";

struct Row {
  Reason reason;
  std::string_view name;
  int errno_value;
  absl::StatusCode code;
};

using absl::StatusCode;

constexpr Row kTable[] = {
    {v1::REASON_UNSPECIFIED, "unspecified", EIO, StatusCode::kUnknown},
    {v1::STALE_EPOCH, "stale epoch", EIO, StatusCode::kFailedPrecondition},
    {v1::NOT_PRIMARY, "not primary", EIO, StatusCode::kFailedPrecondition},
    {v1::CHUNK_FULL, "chunk full", EIO, StatusCode::kResourceExhausted},
    {v1::CHUNK_SEALED, "chunk sealed", EIO, StatusCode::kFailedPrecondition},
    {v1::QUORUM_LOST, "quorum lost", EIO, StatusCode::kUnavailable},
    {v1::CHECKSUM_MISMATCH, "checksum mismatch", EIO, StatusCode::kDataLoss},
    {v1::UNKNOWN_CHUNK, "unknown chunk", EIO, StatusCode::kNotFound},
    {v1::REPLICA_DAMAGED, "replica damaged", EIO, StatusCode::kDataLoss},
    {v1::PREDECESSOR_MISSING, "predecessor missing", EIO, StatusCode::kFailedPrecondition},
    {v1::SEQUENCE_FORGOTTEN, "sequence forgotten", EIO, StatusCode::kFailedPrecondition},
    {v1::EOF_MISMATCH, "not at end of file", EPERM, StatusCode::kFailedPrecondition},
    {v1::IN_DOUBT, "in doubt", EIO, StatusCode::kUnknown},
    {v1::WRONG_CLUSTER, "wrong cluster", EIO, StatusCode::kFailedPrecondition},
    {v1::WRONG_SERVER, "wrong server", EIO, StatusCode::kFailedPrecondition},
    {v1::VERSION_MISMATCH, "version mismatch", EPROTONOSUPPORT, StatusCode::kUnimplemented},
    {v1::SESSION_EXPIRED, "session expired", EIO, StatusCode::kUnauthenticated},
    {v1::STALE_COMMAND, "stale command", EIO, StatusCode::kFailedPrecondition},
    {v1::NO_ENTRY, "no such file or directory", ENOENT, StatusCode::kNotFound},
    {v1::ENTRY_EXISTS, "file exists", EEXIST, StatusCode::kAlreadyExists},
    {v1::NOT_DIRECTORY, "not a directory", ENOTDIR, StatusCode::kFailedPrecondition},
    {v1::IS_DIRECTORY, "is a directory", EISDIR, StatusCode::kFailedPrecondition},
    {v1::DIRECTORY_NOT_EMPTY, "directory not empty", ENOTEMPTY, StatusCode::kFailedPrecondition},
    {v1::NAME_TOO_LONG, "file name too long", ENAMETOOLONG, StatusCode::kInvalidArgument},
    {v1::NOT_PERMITTED, "operation not permitted", EPERM, StatusCode::kPermissionDenied},
    {v1::ACCESS_DENIED, "permission denied", EACCES, StatusCode::kPermissionDenied},
    {v1::READ_ONLY, "read-only file system", EROFS, StatusCode::kFailedPrecondition},
    {v1::NO_SPACE, "no space left", ENOSPC, StatusCode::kResourceExhausted},
    {v1::INVALID, "invalid argument", EINVAL, StatusCode::kInvalidArgument},
    {v1::TOO_MANY_LINKS, "too many links", EMLINK, StatusCode::kResourceExhausted},
    {v1::NO_ATTRIBUTE, "no such attribute", ENODATA, StatusCode::kNotFound},
    {v1::NOT_SUPPORTED, "not supported", EOPNOTSUPP, StatusCode::kUnimplemented},
    {v1::TOO_LARGE, "file too large", EFBIG, StatusCode::kOutOfRange},
    {v1::UNREACHABLE, "unreachable", EIO, StatusCode::kUnavailable},
    {v1::TIMED_OUT, "timed out", EIO, StatusCode::kDeadlineExceeded},
    {v1::SHUTTING_DOWN, "shutting down", EIO, StatusCode::kUnavailable},
    {v1::NOT_READY, "not ready", EIO, StatusCode::kUnavailable},
    {v1::INTERRUPTED, "interrupted", EINTR, StatusCode::kCancelled},
    {v1::INPUT_OUTPUT, "input/output error", EIO, StatusCode::kInternal},
};

const Row& Find(Reason reason) {
  for (const Row& row : kTable)
    if (row.reason == reason) return row;
  return kTable[0];
}

Reason ReasonOfCode(StatusCode code) {
  switch (code) {
    case StatusCode::kUnavailable: return v1::UNREACHABLE;
    case StatusCode::kDeadlineExceeded: return v1::TIMED_OUT;
    case StatusCode::kCancelled: return v1::INTERRUPTED;
    case StatusCode::kNotFound: return v1::NO_ENTRY;
    case StatusCode::kAlreadyExists: return v1::ENTRY_EXISTS;
    case StatusCode::kInvalidArgument: return v1::INVALID;
    case StatusCode::kPermissionDenied: return v1::NOT_PERMITTED;
    case StatusCode::kUnimplemented: return v1::NOT_SUPPORTED;
    case StatusCode::kDataLoss: return v1::CHECKSUM_MISMATCH;
    default: return v1::INPUT_OUTPUT;
  }
}

Reason ReasonOfErrno(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT: return v1::NO_SPACE;
    case EIO: return v1::INPUT_OUTPUT;
    case EPERM: return v1::NOT_PERMITTED;
    case ETIMEDOUT: return v1::TIMED_OUT;
    default: break;
  }
  for (const Row& row : kTable)
    if (row.errno_value == error_number) return row.reason;
  return v1::INPUT_OUTPUT;
}

absl::Status WithReason(std::string_view url, Reason reason, absl::Status status) {
  status.SetPayload(ToAbsl(url), absl::Cord(StrCat(static_cast<int>(reason))));
  return status;
}

std::optional<Reason> FindReason(std::string_view url, const absl::Status& status) {
  auto payload = status.GetPayload(ToAbsl(url));
  if (!payload) return std::nullopt;
  int value = std::atoi(std::string(*payload).c_str());
  if (!v1::Reason_IsValid(value)) return std::nullopt;
  return static_cast<Reason>(value);
}

}  // namespace

absl::Status MakeError(Reason reason, std::string_view message) {
  return WithReason(kPayloadUrl, reason, absl::Status(ToCode(reason), ToAbsl(message)));
}

Reason ReasonOf(const absl::Status& status) {
  if (status.ok()) return v1::REASON_UNSPECIFIED;
  return FindReason(kPayloadUrl, status).value_or(ReasonOfCode(status.code()));
}

absl::Status WithErrnoOf(Reason cause, absl::Status status) {
  return WithReason(kErrnoUrl, cause, std::move(status));
}

int ToErrno(Reason reason) { return Find(reason).errno_value; }
int ToErrno(const absl::Status& status) {
  if (status.ok()) return 0;
  return ToErrno(FindReason(kErrnoUrl, status).value_or(ReasonOf(status)));
}
absl::StatusCode ToCode(Reason reason) { return Find(reason).code; }
std::string_view ReasonName(Reason reason) { return Find(reason).name; }

bool IsTransient(const absl::Status& status) {
  switch (ReasonOf(status)) {
    case v1::UNREACHABLE:
    case v1::TIMED_OUT:
    case v1::SHUTTING_DOWN:
    case v1::NOT_READY:
    case v1::QUORUM_LOST: return !status.ok();
    default: return false;
  }
}

v1::Error ToProto(const absl::Status& status) {
  v1::Error error;
  error.set_reason(ReasonOf(status));
  error.set_message(ToValidUtf8(FromAbsl(status.message())));
  return error;
}

absl::Status FromProto(const v1::Error& error) {
  Reason reason = error.reason();
  if (reason == v1::REASON_UNSPECIFIED) reason = v1::INPUT_OUTPUT;
  return MakeError(reason, error.message());
}

absl::Status ErrnoError(std::string_view call, std::string_view thing, int error_number) {
  return MakeError(ReasonOfErrno(error_number),
                   StrCat(call, " ", thing, ": ", std::strerror(error_number)));
}

}  // namespace appendfs
