#pragma once

#include <functional>
#include <string>

#include "cli/context.h"
#include "cli/local_io.h"

namespace appendfs::cli {

// tail: the last lines of a file, and those that come.
void AddTailVerb(CLI::App& app, Context& context);

// Where the last `lines` lines of the first `size` bytes begin. A last line
// without newline counts.
absl::StatusOr<FileOffset> FindLastLines(File& file, uint64_t size, uint64_t lines);

struct TailOptions {
  uint64_t lines = 10;
  bool follow = false;  // go on with complete lines as they are committed
};
// With JSON one object per line: offset, bytes, text. Following ends when
// `stop` says so (asked about once a second) or with an error.
absl::Status Tail(Client& client, const std::string& path, const TailOptions& options, bool json,
                  Sink sink, const std::function<bool()>& stop);

}  // namespace appendfs::cli
