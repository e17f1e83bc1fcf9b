#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/buffer.h"

namespace appendfs {

// What waits to be written on one stream: one write is under way at a time,
// and everything that comes meanwhile is gathered into the next messages, each
// of about 1 MiB of payload at most. Thread-safe.
//
// Whoever takes a parcel must write it and say Written. Ending the stream is
// up to whoever is told so by Close or Written, once.
template <class Header>
class ParcelQueue {
 public:
  static constexpr size_t kParcelBytes = 1u << 20;

  struct Parcel {
    Header header;
    std::vector<Buffer> payload;
    size_t bytes = 0;
  };

  // `fill(Parcel&)` adds to the newest parcel.
  template <class Fill>
  void Add(size_t payload_bytes, Fill fill) {
    absl::MutexLock lock(&mutex_);
    if (closed_ || finishing_) return;
    if (parcels_.empty() || sealed_ ||
        (parcels_.back().bytes > 0 && parcels_.back().bytes + payload_bytes > kParcelBytes)) {
      parcels_.emplace_back();
      sealed_ = false;
    }
    parcels_.back().bytes += payload_bytes;
    fill(parcels_.back());
  }

  // The same, but in a parcel of its own: a greeting.
  template <class Fill>
  void AddAlone(Fill fill) {
    absl::MutexLock lock(&mutex_);
    AddLone(fill);
  }
  // In a parcel of its own, after which the stream ends: a refusal.
  template <class Fill>
  void AddLast(Fill fill) {
    absl::MutexLock lock(&mutex_);
    AddLone(fill);
    finishing_ = true;
  }

  // None: nothing waits, a write is under way, or the stream is closed.
  std::optional<Parcel> Take() {
    absl::MutexLock lock(&mutex_);
    if (writing_ || closed_ || parcels_.empty()) return std::nullopt;
    writing_ = true;
    std::optional<Parcel> parcel(std::move(parcels_.front()));
    parcels_.pop_front();
    return parcel;
  }

  // True: the stream is closed, end it now.
  bool Written() {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (finishing_ && parcels_.empty()) closed_ = true;
    return closed_ && !std::exchange(ended_, true);
  }

  // Drops what waits and takes nothing more. True: end the stream now.
  bool Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    parcels_.clear();
    return !writing_ && !std::exchange(ended_, true);
  }

 private:
  template <class Fill>
  void AddLone(Fill fill) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (closed_ || finishing_) return;
    parcels_.emplace_back();
    sealed_ = true;
    fill(parcels_.back());
  }

  mutable absl::Mutex mutex_;
  std::deque<Parcel> parcels_ ABSL_GUARDED_BY(mutex_);
  bool sealed_ ABSL_GUARDED_BY(mutex_) = false;  // the newest parcel stands alone
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;  // the last parcel ends the stream
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
