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
// of about 1 MiB of payload and some thousand items at most. Whoever takes a
// parcel must write it and say Written. Thread-safe.
template <class Header>
class ParcelQueue {
 public:
  static constexpr size_t kParcelBytes = 1u << 20;
  static constexpr size_t kParcelItems = 4096;  // keeps headers far below what a frame may have
  static constexpr size_t kItemBytes = 64;      // what an item counts for beside its payload
  static constexpr size_t kCrowdedBytes = 16u << 20;

  struct Parcel {
    Header header;
    std::vector<Buffer> payload;
    size_t bytes = 0;  // of the payload
    size_t items = 0;
  };

  // `fill(Parcel&)` adds to the newest parcel.
  template <class Fill>
  void Add(size_t payload_bytes, Fill fill) {
    absl::MutexLock lock(&mutex_);
    if (closed_ || finishing_) return;
    if (parcels_.empty() || sealed_ || parcels_.back().items >= kParcelItems ||
        (parcels_.back().bytes > 0 && parcels_.back().bytes + payload_bytes > kParcelBytes)) {
      parcels_.emplace_back();
      sealed_ = false;
    }
    Parcel& parcel = parcels_.back();
    parcel.bytes += payload_bytes;
    ++parcel.items;
    waiting_bytes_ += payload_bytes + kItemBytes;
    fill(parcel);
  }

  // The same, but in a parcel of its own: a greeting.
  template <class Fill>
  void AddAlone(Fill fill) {
    absl::MutexLock lock(&mutex_);
    AddLone(fill);
  }
  // In a parcel of its own, and nothing more is taken after it: a refusal.
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
    waiting_bytes_ -= parcel->bytes + parcel->items * kItemBytes;
    return parcel;
  }
  void Written() {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
  }

  // More waits than should: the other side does not read as it asks.
  bool crowded() const {
    absl::MutexLock lock(&mutex_);
    return waiting_bytes_ > kCrowdedBytes;
  }

  // Drops what waits and takes nothing more.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    parcels_.clear();
    waiting_bytes_ = 0;
  }

 private:
  template <class Fill>
  void AddLone(Fill fill) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (closed_ || finishing_) return;
    Parcel& parcel = parcels_.emplace_back();
    sealed_ = true;
    fill(parcel);
    for (const Buffer& part : parcel.payload) parcel.bytes += part.size();
    parcel.items = 1;
    waiting_bytes_ += parcel.bytes + kItemBytes;
  }

  mutable absl::Mutex mutex_;
  std::deque<Parcel> parcels_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of parcels_
  bool sealed_ ABSL_GUARDED_BY(mutex_) = false;       // the newest parcel stands alone
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;  // the last parcel is among them, or gone
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
