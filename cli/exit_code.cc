#include "cli/exit_code.h"

namespace appendfs::cli {

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return ExitCode::kDone;
  switch (ReasonOf(status)) {
    case v1::NO_ENTRY: return ExitCode::kNotFound;
    case v1::ENTRY_EXISTS:
    case v1::NOT_DIRECTORY:
    case v1::IS_DIRECTORY:
    case v1::DIRECTORY_NOT_EMPTY:
    case v1::NAME_TOO_LONG:
    case v1::NOT_PERMITTED:
    case v1::ACCESS_DENIED:
    case v1::READ_ONLY:
    case v1::NO_SPACE:
    case v1::TOO_LARGE:
    case v1::TOO_MANY_LINKS:
    case v1::EOF_MISMATCH:
    case v1::WRONG_CLUSTER:
    case v1::VERSION_MISMATCH: return ExitCode::kRefused;
    case v1::INVALID: return ExitCode::kUsage;
    case v1::UNREACHABLE:
    case v1::TIMED_OUT:
    case v1::SHUTTING_DOWN:
    case v1::NOT_READY:
    case v1::QUORUM_LOST: return ExitCode::kUnavailable;
    case v1::IN_DOUBT: return ExitCode::kInDoubt;
    default: return ExitCode::kFailed;
  }
}

}  // namespace appendfs::cli
