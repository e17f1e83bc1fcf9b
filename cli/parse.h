#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "common/status.h"

namespace appendfs::cli {

// "30s", "500ms", "2m", "1h"; a number alone is seconds. Error: INVALID.
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);

// "4096", "64k", "1M", "2G", "1T": powers of 1024. Error: INVALID.
absl::StatusOr<uint64_t> ParseBytes(std::string_view text);

// Permission bits as three or four octal digits: "755", "1777". Error: INVALID.
absl::StatusOr<uint32_t> ParseMode(std::string_view text);

}  // namespace appendfs::cli
