#include "common/pages.h"

#include <new>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace appendfs {
namespace {

constexpr std::align_val_t kAlignment{kPageBytes};
constexpr size_t kBlockBytes = 1 << 20;
constexpr size_t kMostKept = 16;

class Blocks {
 public:
  char* Take() {
    {
      absl::MutexLock lock(&mutex_);
      if (!free_.empty()) {
        char* block = free_.back();
        free_.pop_back();
        return block;
      }
    }
    return static_cast<char*>(::operator new(kBlockBytes, kAlignment));
  }

  void Give(char* block) {
    {
      absl::MutexLock lock(&mutex_);
      if (free_.size() < kMostKept) return free_.push_back(block);
    }
    ::operator delete(block, kAlignment);
  }

 private:
  absl::Mutex mutex_;
  std::vector<char*> free_ ABSL_GUARDED_BY(mutex_);
};

Blocks& blocks() {
  static auto* const kept = new Blocks;  // released by threads that outlive main
  return *kept;
}

}  // namespace

std::shared_ptr<char[]> AllocatePages(size_t bytes) {
  if (bytes > kBlockBytes / 2 && bytes <= kBlockBytes)
    return {blocks().Take(), [](char* block) { blocks().Give(block); }};
  return {static_cast<char*>(::operator new(bytes, kAlignment)),
          [](char* pages) { ::operator delete(pages, kAlignment); }};
}

}  // namespace appendfs
