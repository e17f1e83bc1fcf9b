#include "client/open_files.h"

#include <utility>

#include "common/interruption.h"

namespace appendfs {
namespace {

constexpr Duration kReleaseAfter = std::chrono::milliseconds(20);  // gathers many into one call
constexpr Duration kReleaseAgain = std::chrono::milliseconds(500);
constexpr size_t kReleaseAtOnce = 1000;

}  // namespace

absl::StatusOr<std::shared_ptr<File>> OpenFiles::Open(InodeId inode, bool already_registered) {
  {
    absl::MutexLock lock(&mutex_);
    auto settled = [this, inode]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      auto found = slots_.find(inode);
      return found == slots_.end() || !found->second.busy;
    };
    if (!AwaitUnlessInterrupted(mutex_, absl::Condition(&settled), Duration::max()))
      return InterruptionStatus();
    Slot& slot = slots_[inode];
    slot.promised = false;
    if (std::shared_ptr<File> file = slot.file.lock()) return file;
    gone_.erase(inode);
    if (slot.state == nullptr && already_registered) slot.state = hooks_.make_state(inode, nullptr);
    if (slot.state != nullptr) {
      std::shared_ptr<File> file = hooks_.make_file(slot.state);
      slot.file = file;
      return file;
    }
    slot.busy = true;
  }
  absl::StatusOr<v1::FilePlan> plan = hooks_.open(inode);
  absl::MutexLock lock(&mutex_);
  Slot& slot = slots_[inode];
  if (!plan.ok()) {
    // The master may have registered it and could not say so.
    if (!stopped_ && (IsTransient(plan.status()) || HasReason(plan.status(), v1::INTERRUPTED))) {
      slot.busy = false;
      gone_.insert(inode);
      ReleaseSoon(kReleaseAfter);
    } else {
      slots_.erase(inode);
    }
    return plan.status();
  }
  slot.busy = false;
  slot.state = hooks_.make_state(inode, &*plan);
  std::shared_ptr<File> file = hooks_.make_file(slot.state);
  slot.file = file;
  return file;
}

void OpenFiles::OnFileGone(InodeId inode) {
  std::shared_ptr<FileState> state = Find(inode);
  if (state == nullptr) return;
  // What it has queued is still on its way.
  hooks_.when_idle(*state, [this, inode] {
    absl::MutexLock lock(&mutex_);
    auto found = slots_.find(inode);
    if (stopped_ || found == slots_.end() || !found->second.file.expired()) return;
    gone_.insert(inode);
    ReleaseSoon(kReleaseAfter);
  });
}

void OpenFiles::ReleaseSoon(Duration delay) {
  mutex_.AssertHeld();
  if (release_posted_ || stopped_) return;
  release_posted_ = true;
  executor_.PostAfter(delay, [this] { ReleaseIdle(); });
}

void OpenFiles::ReleaseIdle() {
  std::vector<InodeId> inodes;
  {
    absl::MutexLock lock(&mutex_);
    release_posted_ = false;
    if (registering_ > 0) {
      ReleaseSoon(kReleaseAfter);
      return;
    }
    while (!gone_.empty() && inodes.size() < kReleaseAtOnce) {
      InodeId inode = *gone_.begin();
      gone_.erase(gone_.begin());
      auto found = slots_.find(inode);
      if (found == slots_.end() || found->second.busy || found->second.promised ||
          !found->second.file.expired())
        continue;
      found->second.busy = true;
      inodes.push_back(inode);
    }
    if (inodes.empty() || stopped_) return;
    releasing_ = true;
  }
  absl::Status released = hooks_.release(inodes);
  absl::MutexLock lock(&mutex_);
  releasing_ = false;
  for (InodeId inode : inodes) {
    if (!IsTransient(released)) {
      slots_.erase(inode);
    } else {
      slots_[inode].busy = false;
      gone_.insert(inode);
    }
  }
  if (!gone_.empty()) ReleaseSoon(released.ok() ? Duration::zero() : kReleaseAgain);
}

void OpenFiles::BeginRegistering() {
  absl::MutexLock lock(&mutex_);
  ++registering_;  // no release begins from here on
  auto quiet = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !releasing_; };
  // Who is interrupted goes on to a call that ends at once.
  AwaitUnlessInterrupted(mutex_, absl::Condition(&quiet), Duration::max());
}

void OpenFiles::EndRegistering(InodeId registered) {
  absl::MutexLock lock(&mutex_);
  --registering_;
  if (!registered) return;
  gone_.erase(registered);
  slots_[registered].promised = true;
}

std::vector<InodeId> OpenFiles::Registered() const {
  absl::MutexLock lock(&mutex_);
  std::vector<InodeId> inodes;
  for (const auto& [inode, slot] : slots_) inodes.push_back(inode);
  return inodes;
}

std::shared_ptr<FileState> OpenFiles::Find(InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  auto found = slots_.find(inode);
  return found == slots_.end() ? nullptr : found->second.state;
}

std::vector<std::shared_ptr<FileState>> OpenFiles::States() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<FileState>> states;
  for (const auto& [inode, slot] : slots_)
    if (slot.state != nullptr) states.push_back(slot.state);
  return states;
}

void OpenFiles::Stop() {
  absl::flat_hash_map<InodeId, Slot> slots;
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  slots.swap(slots_);
  gone_.clear();
}

}  // namespace appendfs
