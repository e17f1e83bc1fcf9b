#pragma once

#include <cstdint>
#include <iterator>
#include <map>

namespace appendfs {

// Numbers that were given out one after the other and come back in nearly that
// order; kept as runs, so that a million of them take no room. Not thread-safe.
class NumberSet {
 public:
  bool Contains(uint64_t number) const {
    auto after = runs_.upper_bound(number);
    return after != runs_.begin() && std::prev(after)->second >= number;
  }
  void Insert(uint64_t number) {
    if (Contains(number)) return;
    uint64_t first = number, last = number;
    auto after = runs_.upper_bound(number);
    if (after != runs_.end() && after->first == number + 1) {
      last = after->second;
      after = runs_.erase(after);
    }
    if (after != runs_.begin() && std::prev(after)->second == number - 1) {
      first = std::prev(after)->first;
    }
    runs_[first] = last;
  }
  size_t runs() const { return runs_.size(); }

 private:
  std::map<uint64_t, uint64_t> runs_;  // first to last
};

}  // namespace appendfs
