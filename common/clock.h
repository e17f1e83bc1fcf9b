#pragma once

#include <chrono>
#include <cstdint>

namespace appendfs {

using Duration = std::chrono::nanoseconds;

// Time as the process sees it. Nothing in the project reads a clock but
// through this, so that simulated time works.
class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back; its zero means nothing.
  virtual Duration Monotonic() const = 0;
  // Nanoseconds since the Unix epoch; may jump.
  virtual uint64_t WallNanos() const = 0;
};

class SystemClock final : public Clock {
 public:
  Duration Monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  uint64_t WallNanos() const override {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
            .count());
  }
};

}  // namespace appendfs
