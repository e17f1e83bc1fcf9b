#include "master/sessions/watch_table.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace appendfs {

WatchTable::Watcher WatchTable::Join() {
  links_[++last_watcher_];
  return last_watcher_;
}

bool WatchTable::Renew(Watcher watcher, Duration now) {
  auto link = links_.find(watcher);
  if (link == links_.end() || link->second.gone || !link->second.telling.empty()) return false;
  link->second.lease_end = now + lease_;
  return true;
}

std::optional<WatchTable::Telling> WatchTable::Watch(Watcher watcher, InodeId inode) {
  auto found = links_.find(watcher);
  if (found == links_.end() || found->second.gone) return std::nullopt;
  Link& link = found->second;
  std::optional<Telling> all;
  if (link.watched.size() >= kMostWatched) {
    all = Telling{watcher, ++link.last_number, {link.watched.begin(), link.watched.end()}};
    for (InodeId old : all->inodes) {
      Unwatch(watcher, old);
      link.telling[old] = all->number;
    }
  }
  if (link.watched.insert(inode).second) watchers_[inode].insert(watcher);
  return all;
}

void WatchTable::Leave(Watcher watcher) {
  auto link = links_.find(watcher);
  if (link != links_.end()) link->second.gone = true;
}

WatchTable::Begun WatchTable::Change(const std::vector<InodeId>& inodes, Watcher except,
                                     Duration now, Done done) {
  Waiting waiting;
  waiting.done = std::move(done);
  std::map<Watcher, Telling> tell;
  for (InodeId inode : inodes) {
    // Who has not yet heard of an earlier change may believe what was before it.
    for (const auto& [watcher, link] : links_) {
      auto told = link.telling.find(inode);
      if (watcher != except && told != link.telling.end())
        waiting.until[watcher] = std::max(waiting.until[watcher], told->second);
    }
    auto watching = watchers_.find(inode);
    if (watching == watchers_.end()) continue;
    for (Watcher watcher : watching->second)
      if (watcher != except) tell[watcher].inodes.push_back(inode);
  }
  Begun begun;
  for (auto& [watcher, telling] : tell) {
    Link& link = links_[watcher];
    telling.watcher = watcher;
    telling.number = ++link.last_number;
    for (InodeId inode : telling.inodes) {
      Unwatch(watcher, inode);
      if (link.lease_end > now) link.telling[inode] = telling.number;
    }
    if (link.lease_end > now) waiting.until[watcher] = telling.number;
    if (!link.gone) begun.tell.push_back(std::move(telling));
  }
  waiting_.push_back(std::move(waiting));
  begun.done = TakeDone(now);
  return begun;
}

std::vector<WatchTable::Done> WatchTable::Heard(Watcher watcher, uint64_t number, Duration now) {
  LetGo(watcher, number);
  return TakeDone(now);
}

std::vector<WatchTable::Done> WatchTable::Expire(Duration now) {
  for (auto link = links_.begin(); link != links_.end();) {
    auto at = link++;
    if (at->second.lease_end > now) continue;
    LetGo(at->first, std::numeric_limits<uint64_t>::max());
    if (!at->second.gone) continue;
    const std::vector<InodeId> watched(at->second.watched.begin(), at->second.watched.end());
    for (InodeId inode : watched) Unwatch(at->first, inode);
    links_.erase(at);
  }
  return TakeDone(now);
}

Duration WatchTable::NextDue() const {
  Duration next = Duration::max();
  for (const auto& [watcher, link] : links_)
    if (link.gone || !link.telling.empty()) next = std::min(next, link.lease_end);
  if (next > hold_until_ && std::any_of(waiting_.begin(), waiting_.end(),
                                        [](const Waiting& w) { return w.until.empty(); }))
    next = hold_until_;
  return next;
}

void WatchTable::Unwatch(Watcher watcher, InodeId inode) {
  links_[watcher].watched.erase(inode);
  auto found = watchers_.find(inode);
  if (found == watchers_.end()) return;
  found->second.erase(watcher);
  if (found->second.empty()) watchers_.erase(found);
}

void WatchTable::LetGo(Watcher watcher, uint64_t number) {
  auto link = links_.find(watcher);
  if (link == links_.end()) return;
  absl::erase_if(link->second.telling, [&](const auto& told) { return told.second <= number; });
  for (Waiting& waiting : waiting_) {
    auto until = waiting.until.find(watcher);
    if (until != waiting.until.end() && until->second <= number) waiting.until.erase(until);
  }
}

std::vector<WatchTable::Done> WatchTable::TakeDone(Duration now) {
  std::vector<Done> done;
  if (now < hold_until_) return done;
  std::erase_if(waiting_, [&](Waiting& waiting) {
    if (!waiting.until.empty()) return false;
    done.push_back(std::move(waiting.done));
    return true;
  });
  return done;
}

}  // namespace appendfs
