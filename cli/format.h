#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/types.pb.h"

namespace appendfs::cli {

// "drwxr-xr-x", with s, S, t, T as ls(1) shows them.
std::string ModeString(v1::FileType type, uint32_t mode);

// "regular file", "directory" ...
std::string_view TypeName(v1::FileType type);

// "512", "1.5K", "64M", "2.0G": powers of 1024, three digits at most.
std::string HumanBytes(uint64_t bytes);

// Local time, "2025-03-01 14:05:09".
std::string LocalTime(uint64_t time_ns);
// UTC with all digits, "2025-03-01T13:05:09.000000001Z".
std::string IsoTime(uint64_t time_ns);

// A name as a terminal can stand it: control bytes, backslashes and what is
// not UTF-8 become \n, \\ or \xHH.
std::string PrintableName(std::string_view name);

// Is it text that JSON can carry?
bool IsUtf8(std::string_view bytes);

// Columns padded to the widest cell; numbers (as told) to the right.
class Table {
 public:
  // One letter per column: 'l' left, 'r' right.
  explicit Table(std::string alignment) : alignment_(std::move(alignment)) {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Render() const;

 private:
  const std::string alignment_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace appendfs::cli
