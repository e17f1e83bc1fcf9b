#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace appendfs::cli {

// One line on a terminal for a transfer that takes longer than a second:
// name, bar, bytes, speed. Silent elsewhere. Not thread-safe.
class Progress {
 public:
  // `total` 0: unknown. `enabled` false: never shows anything.
  Progress(std::string name, uint64_t total, bool enabled);
  Progress(const Progress&) = delete;
  ~Progress();  // wipes the line

  void Advance(uint64_t bytes);

  // The line's text, `width` columns at most.
  static std::string Line(const std::string& name, uint64_t done, uint64_t total, double seconds,
                          int width);
  // Is standard error a terminal?
  static bool Wanted();

 private:
  using Time = std::chrono::steady_clock::time_point;
  const std::string name_;
  const uint64_t total_;
  const bool enabled_;
  const Time start_;
  Time drawn_;
  uint64_t done_ = 0;
  bool visible_ = false;
};

}  // namespace appendfs::cli
