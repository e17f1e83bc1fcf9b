#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/types.pb.h"

namespace appendfs {

using v1::Reason;

// An absl::Status that carries a Reason as payload. The message is one line
// that names the thing, the reason and, where there is one, the way out.
absl::Status MakeError(Reason reason, std::string_view message);

// The reason a status carries. A status without one gets the closest reason to
// its code; OK gives REASON_UNSPECIFIED.
Reason ReasonOf(const absl::Status& status);
inline bool HasReason(const absl::Status& status, Reason reason) {
  return !status.ok() && ReasonOf(status) == reason;
}

// The one table: reason to errno, to absl (which equals gRPC) code, and to a
// name for people.
int ToErrno(Reason reason);
int ToErrno(const absl::Status& status);  // 0 for OK
// The same status, but with the errno of `cause`: an append in doubt because
// the disks are full tells a program ENOSPC.
absl::Status WithErrnoOf(Reason cause, absl::Status status);
absl::StatusCode ToCode(Reason reason);
std::string_view ReasonName(Reason reason);

// True if the same call may succeed later without anyone changing anything:
// the peer is away, starting, or out of time.
bool IsTransient(const absl::Status& status);

// Errors inside streams and batched answers.
v1::Error ToProto(const absl::Status& status);  // `status` must not be OK
absl::Status FromProto(const v1::Error& error);

// A failed system call: "open /x: No such file or directory", with the reason
// that errno maps to.
absl::Status ErrnoError(std::string_view call, std::string_view thing, int error_number);

}  // namespace appendfs

// Returns early from a function that returns absl::Status or StatusOr.
#define APPENDFS_RETURN_IF_ERROR(expression)                                \
  do {                                                                      \
    if (absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

#define APPENDFS_CONCAT_(a, b) a##b
#define APPENDFS_CONCAT(a, b) APPENDFS_CONCAT_(a, b)
#define APPENDFS_ASSIGN_OR_RETURN(declaration, expression)            \
  auto APPENDFS_CONCAT(status_or_, __LINE__) = (expression);          \
  if (!APPENDFS_CONCAT(status_or_, __LINE__).ok())                    \
    return std::move(APPENDFS_CONCAT(status_or_, __LINE__)).status(); \
  declaration = *std::move(APPENDFS_CONCAT(status_or_, __LINE__))
