#include "master/locks/lock_table.h"

#include <set>

namespace appendfs {

bool LockTable::Collides(const OfFile& file, const Owner& owner, const FileLock& lock) {
  for (const auto& [other, held] : file.holders)
    if (other != owner && held.ranges.Collision(lock.span, lock.mode)) return true;
  return false;
}

void LockTable::Hold(OfFile& file, const Owner& owner, const FileLock& lock) {
  Held& held = file.holders[owner];
  held.ranges.Set(lock.span, lock.mode);
  held.pid = lock.pid;
}

void LockTable::LetGo(OfFile& file, const Owner& owner, LockSpan span) {
  auto found = file.holders.find(owner);
  if (found == file.holders.end()) return;
  found->second.ranges.Clear(span);
  if (found->second.ranges.empty()) file.holders.erase(found);
}

LockTable::Answer LockTable::Lock(const LockCall& call, const FileLock& lock, bool wait) {
  const Owner owner{call.client, lock.owner};
  if (lock.whole_file && lock.mode == LockMode::kExclusive && !Has(call.client, lock))
    Unlock(call.client, lock);
  auto file = files_.try_emplace(KeyOf(lock)).first;
  Answer answer = Answer::kGranted;
  if (!Collides(file->second, owner, lock)) {
    Hold(file->second, owner, lock);
  } else if (!wait) {
    answer = Answer::kCollides;
  } else if (!lock.whole_file && WouldDeadlock(owner, lock)) {
    answer = Answer::kDeadlock;
  } else {
    file->second.waiters.push_back({call, lock});
    waiting_[call] = lock;
    answer = Answer::kWaits;
  }
  Settle(file);  // a lock may have become a weaker one
  return answer;
}

void LockTable::Unlock(ClientId client, const FileLock& lock) {
  auto file = files_.find(KeyOf(lock));
  if (file == files_.end()) return;
  LetGo(file->second, {client, lock.owner}, lock.span);
  Settle(file);
}

bool LockTable::Withdraw(const LockCall& call) {
  auto waiting = waiting_.find(call);
  if (waiting == waiting_.end()) return false;
  auto file = files_.find(KeyOf(waiting->second));
  waiting_.erase(waiting);
  file->second.waiters.remove_if([&](const Waiter& waiter) { return waiter.call == call; });
  Settle(file);
  return true;
}

void LockTable::EndClient(ClientId client) {
  std::erase_if(waiting_, [client](const auto& entry) { return entry.first.client == client; });
  for (auto at = files_.begin(); at != files_.end();) {
    auto file = at++;  // Settle may forget it
    std::erase_if(file->second.holders,
                  [client](const auto& holder) { return holder.first.client == client; });
    file->second.waiters.remove_if(
        [client](const Waiter& waiter) { return waiter.call.client == client; });
    Settle(file);
  }
}

std::optional<LockTable::Holder> LockTable::Collision(ClientId client, const FileLock& lock) const {
  auto file = files_.find(KeyOf(lock));
  if (file == files_.end()) return std::nullopt;
  const Owner owner{client, lock.owner};
  for (const auto& [other, held] : file->second.holders) {
    if (other == owner) continue;
    auto range = held.ranges.Collision(lock.span, lock.mode);
    if (!range) continue;
    return Holder{other.client,
                  {lock.inode, lock.whole_file, other.id, range->span, range->mode, held.pid}};
  }
  return std::nullopt;
}

bool LockTable::Has(ClientId client, const FileLock& lock) const {
  auto file = files_.find(KeyOf(lock));
  if (file == files_.end()) return false;
  auto held = file->second.holders.find({client, lock.owner});
  return held != file->second.holders.end() && held->second.ranges.Has(lock.span, lock.mode);
}

std::vector<LockTable::Owner> LockTable::Blockers(const Owner& owner, const FileLock& lock) const {
  std::vector<Owner> blockers;
  auto file = files_.find(KeyOf(lock));
  if (file == files_.end()) return blockers;
  for (const auto& [other, held] : file->second.holders)
    if (other != owner && held.ranges.Collision(lock.span, lock.mode)) blockers.push_back(other);
  return blockers;
}

bool LockTable::WouldDeadlock(const Owner& owner, const FileLock& lock) const {
  std::vector<Owner> to_see = Blockers(owner, lock);
  std::set<Owner> seen;
  while (!to_see.empty()) {
    const Owner next = to_see.back();
    to_see.pop_back();
    if (next == owner) return true;
    if (!seen.insert(next).second) continue;
    for (const auto& [call, wanted] : waiting_) {
      if (wanted.whole_file || Owner{call.client, wanted.owner} != next) continue;
      for (const Owner& blocker : Blockers(next, wanted)) to_see.push_back(blocker);
    }
  }
  return false;
}

void LockTable::Settle(Files::iterator file) {
  auto& waiters = file->second.waiters;
  for (auto at = waiters.begin(); at != waiters.end();) {
    if (Collides(file->second, at->owner(), at->lock)) {
      ++at;
      continue;
    }
    Hold(file->second, at->owner(), at->lock);
    granted_.push_back(at->call);
    waiting_.erase(at->call);
    waiters.erase(at);
    at = waiters.begin();  // it may have exchanged more for less
  }
  if (waiters.empty() && file->second.holders.empty()) files_.erase(file);
}

}  // namespace appendfs
