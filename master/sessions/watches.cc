#include "master/sessions/watches.h"

#include <algorithm>
#include <utility>

namespace appendfs {
namespace {

void Run(std::vector<WatchTable::Done> done) {
  for (WatchTable::Done& each : done) std::move(each)();
}

}  // namespace

Watches::Watches(const Clock& clock, bool restarted)
    : clock_(clock),
      table_(kLease, restarted ? clock.Monotonic() + kLease : Duration::zero()),
      timers_(MakeThreadExecutor("watches")) {}

Watches::~Watches() { Stop(); }

void Watches::Stop() {
  std::unique_ptr<Executor> ending;
  absl::ReleasableMutexLock lock(&mutex_);
  ending = std::move(timers_);
  lock.Release();
}

WatchTable::Watcher Watches::Join(std::weak_ptr<Link> link) {
  absl::MutexLock lock(&mutex_);
  const WatchTable::Watcher watcher = table_.Join();
  links_[watcher] = std::move(link);
  return watcher;
}

void Watches::Leave(WatchTable::Watcher watcher) {
  absl::MutexLock lock(&mutex_);
  table_.Leave(watcher);
  links_.erase(watcher);
  WakeAtNextDue();
}

bool Watches::Renew(WatchTable::Watcher watcher) {
  absl::MutexLock lock(&mutex_);
  return table_.Renew(watcher, clock_.Monotonic());
}

void Watches::Watch(WatchTable::Watcher watcher, const std::vector<InodeId>& inodes) {
  std::shared_ptr<Link> link;
  {
    absl::MutexLock lock(&mutex_);
    for (InodeId inode : inodes)
      if (const auto all = table_.Watch(watcher, inode)) link = Tell(*all);
    if (link != nullptr) WakeAtNextDue();
  }
  if (link != nullptr) link->Send();
}

void Watches::Change(const std::vector<InodeId>& inodes, WatchTable::Watcher except,
                     WatchTable::Done done) {
  std::vector<std::shared_ptr<Link>> links;
  std::vector<WatchTable::Done> ready;
  {
    absl::MutexLock lock(&mutex_);
    WatchTable::Begun begun = table_.Change(inodes, except, clock_.Monotonic(), std::move(done));
    for (const WatchTable::Telling& telling : begun.tell)
      if (std::shared_ptr<Link> link = Tell(telling)) links.push_back(std::move(link));
    ready = std::move(begun.done);
    WakeAtNextDue();
  }
  for (const std::shared_ptr<Link>& link : links) link->Send();
  Run(std::move(ready));
}

void Watches::Heard(WatchTable::Watcher watcher, uint64_t number) {
  std::vector<WatchTable::Done> ready;
  {
    absl::MutexLock lock(&mutex_);
    ready = table_.Heard(watcher, number, clock_.Monotonic());
  }
  Run(std::move(ready));
}

std::shared_ptr<Watches::Link> Watches::Tell(const WatchTable::Telling& telling) {
  auto found = links_.find(telling.watcher);
  std::shared_ptr<Link> link = found == links_.end() ? nullptr : found->second.lock();
  if (link != nullptr) link->Tell(telling);
  return link;
}

void Watches::WakeAtNextDue() {
  const Duration due = table_.NextDue();
  if (due >= planned_ || timers_ == nullptr) return;
  planned_ = due;
  timers_->PostAfter(std::max(due - clock_.Monotonic(), Duration::zero()),
                     [this, due] { Expire(due); });
}

void Watches::Expire(Duration planned) {
  std::vector<WatchTable::Done> ready;
  {
    absl::MutexLock lock(&mutex_);
    if (planned_ != planned) return;  // an earlier time has been set since
    planned_ = Duration::max();
    ready = table_.Expire(clock_.Monotonic());
    WakeAtNextDue();
  }
  Run(std::move(ready));
}

}  // namespace appendfs
