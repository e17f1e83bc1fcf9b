#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "common/buffer.h"
#include "common/status.h"

namespace appendfs {

// Bounds what all files of a client hold in read-ahead blocks. Thread-safe.
class ReadaheadBudget {
 public:
  explicit ReadaheadBudget(uint64_t limit) : limit_(limit) {}
  bool Take(uint64_t bytes) {
    if (used_.fetch_add(bytes) + bytes <= limit_) return true;
    used_.fetch_sub(bytes);
    return false;
  }
  void Give(uint64_t bytes) { used_.fetch_sub(bytes); }
  uint64_t used() const { return used_.load(); }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

inline constexpr uint64_t kReadaheadBlock = 1ull << 20;

// A part of a file that is being fetched, or was. `ready` and `data` are
// guarded by the reader's mutex.
struct ReadaheadBlock {
  ReadaheadBlock(uint64_t start_offset, uint64_t end_offset, ReadaheadBudget& from)
      : start(start_offset), end(end_offset), budget(from) {}
  ~ReadaheadBlock() { budget.Give(end - start); }
  ReadaheadBlock(const ReadaheadBlock&) = delete;

  const uint64_t start, end;  // file offsets
  ReadaheadBudget& budget;
  bool ready = false;
  absl::StatusOr<Buffer> data = Buffer();
};

// Which blocks of one file to fetch before they are asked for: decides by how
// the file is read, and keeps the blocks. Reads count as sequential also when
// a few of them overtake each other, as the kernel's do. Not thread-safe.
class Readahead {
 public:
  Readahead(uint64_t window_bytes, ReadaheadBudget& budget)
      : most_blocks_(window_bytes / kReadaheadBlock), budget_(budget) {}

  // Notes a read; returns the blocks to start fetching now, of bytes below
  // `known_size` only.
  std::vector<std::shared_ptr<ReadaheadBlock>> OnRead(uint64_t offset, uint64_t length,
                                                      uint64_t known_size) {
    bool near = offset + kSlack >= next_ && offset <= next_ + kSlack;
    std::vector<std::shared_ptr<ReadaheadBlock>> fetch;
    if (!near) {
      blocks_.clear();
      window_ = 0;
      next_ = offset + length;
      run_ = 0;
      return fetch;
    }
    next_ = std::max(next_, offset + length);
    run_ += length;
    DropBefore(offset < kSlack ? 0 : offset - kSlack);
    if (most_blocks_ == 0 || run_ < kRunBeforeFetch) return fetch;
    uint64_t first = offset / kReadaheadBlock;
    uint64_t last = (next_ - 1) / kReadaheadBlock + window_;
    for (uint64_t index = first; index <= last; ++index) {
      uint64_t start = index * kReadaheadBlock;
      uint64_t end = std::min(start + kReadaheadBlock, known_size);
      if (start >= known_size || (end - start < kSmallestBlock)) break;
      auto found = blocks_.find(index);
      if (found != blocks_.end() || blocks_.size() > most_blocks_ + 1) continue;
      if (!budget_.Take(end - start)) break;
      fetch.push_back(std::make_shared<ReadaheadBlock>(start, end, budget_));
      blocks_.emplace(index, fetch.back());
      if (window_ < most_blocks_) ++window_;
    }
    return fetch;
  }

  // The block that holds the byte at `offset`, or null.
  std::shared_ptr<ReadaheadBlock> Find(uint64_t offset) const {
    auto found = blocks_.find(offset / kReadaheadBlock);
    if (found == blocks_.end() || offset >= found->second->end) return nullptr;
    return found->second;
  }
  void Drop(const ReadaheadBlock& block) { blocks_.erase(block.start / kReadaheadBlock); }
  void Clear() {
    blocks_.clear();
    window_ = 0;
  }
  size_t blocks() const { return blocks_.size(); }

 private:
  static constexpr uint64_t kSlack = 2 * kReadaheadBlock;
  static constexpr uint64_t kSmallestBlock = 64ull << 10;
  static constexpr uint64_t kRunBeforeFetch = 64ull << 10;

  void DropBefore(uint64_t offset) {
    while (!blocks_.empty() && blocks_.begin()->second->end <= offset)
      blocks_.erase(blocks_.begin());
  }

  const uint64_t most_blocks_;
  ReadaheadBudget& budget_;
  uint64_t next_ = 0;    // where a sequential reader goes on
  uint64_t run_ = 0;     // bytes read in sequence
  uint64_t window_ = 0;  // blocks ahead of next_
  std::map<uint64_t, std::shared_ptr<ReadaheadBlock>> blocks_;
};

}  // namespace appendfs
