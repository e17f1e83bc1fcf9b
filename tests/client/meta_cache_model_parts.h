#pragma once

#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/meta_cache.h"
#include "common/clock.h"
#include "common/ids.h"
#include "master/sessions/watch_table.h"

namespace appendfs {

// What the model of meta_cache_model.h is made of: calls and answers, the links
// they are on, the clients, and what is true since when.

enum class Kind { kLookup, kStat, kList, kMake, kRemove, kRename, kSetMode, kOpenTail };
inline bool IsChange(Kind kind) { return kind >= Kind::kMake; }

struct Call {
  uint64_t id = 0, mutation = 0;
  Kind kind = Kind::kLookup;
  InodeId parent, inode;
  std::string name, new_name;
  Duration sent{};
  MetaCache::Ticket ticket;
};
struct Answer {
  uint64_t id = 0;
  bool ok = true, watched = false;
  v1::Entry entry;
  v1::ReadDirectoryResponse page;
  InodeId inode, replaced;
  uint64_t index = 0;     // of the change
  v1::AfterChange after;  // nothing in a repetition
};
struct ToClient {
  std::optional<WatchTable::Telling> telling;
  Answer answer;
};
struct ToMaster {
  Call call;
  uint64_t heard = 0;
};

// A value and since which change it is true.
struct History {
  std::map<uint64_t, uint64_t> values{{0, 0}};
  uint64_t floor = 0;  // of the last change that was returned

  uint64_t now() const { return values.rbegin()->second; }
  bool Allows(uint64_t value) const {
    for (auto at = std::prev(values.upper_bound(floor)); at != values.end(); ++at)
      if (at->second == value) return true;
    return false;
  }
};

struct Link {
  WatchTable::Watcher watcher = 0;
  bool connected = true;
  std::deque<ToMaster> to_master;
  std::deque<ToClient> to_client;
  std::optional<std::pair<Call, Answer>> reading;  // watched, and not yet read
};

struct Node {  // a client and its links; the last is the one it uses
  MetaCache cache;
  Duration believed_until{};
  std::vector<std::shared_ptr<Link>> links;
  std::map<uint64_t, Call> pending;
  std::vector<std::pair<Call, Answer>> waiters;  // answered, not yet returned

  Link& link() { return *links.back(); }
};

}  // namespace appendfs
