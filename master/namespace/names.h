#pragma once

#include <string_view>

#include "common/status.h"

namespace appendfs {

inline constexpr size_t kMaxNameBytes = 255;
inline constexpr size_t kMaxSymlinkBytes = 4095;

// OK for what may name a directory entry: 1 to 255 bytes without '/' and NUL,
// and neither "." nor "..". Errors: INVALID, NAME_TOO_LONG.
absl::Status CheckName(std::string_view name);

// OK for an extended attribute that users may set: "user." and more, up to 255
// bytes without NUL. Errors: NOT_SUPPORTED (another class), NAME_TOO_LONG, INVALID.
absl::Status CheckXattrName(std::string_view name);

// OK for what a symlink may hold: 1 to 4095 bytes without NUL.
absl::Status CheckSymlinkTarget(std::string_view target);

}  // namespace appendfs
