#include "common/file_lock.h"

#include <iterator>

namespace appendfs {

void LockRanges::Clear(LockSpan span) {
  auto at = by_first_.lower_bound(span.first);
  if (at != by_first_.begin()) {
    auto before = std::prev(at);
    const Held held = before->second;
    if (held.last >= span.first) before->second.last = span.first - 1;
    if (held.last > span.last) by_first_[span.last + 1] = held;
  }
  while (at != by_first_.end() && at->first <= span.last) {
    const Held held = at->second;
    at = by_first_.erase(at);
    if (held.last > span.last) by_first_[span.last + 1] = held;
  }
}

void LockRanges::Set(LockSpan span, LockMode mode) {
  Clear(span);
  auto after = by_first_.lower_bound(span.first);
  if (after != by_first_.begin()) {
    auto before = std::prev(after);
    if (before->second.mode == mode && before->second.last + 1 == span.first) {
      span.first = before->first;
      by_first_.erase(before);
    }
  }
  if (after != by_first_.end() && after->second.mode == mode && after->first == span.last + 1) {
    span.last = after->second.last;
    by_first_.erase(after);
  }
  by_first_[span.first] = {span.last, mode};
}

bool LockRanges::Has(LockSpan span, LockMode mode) const {
  auto after = by_first_.upper_bound(span.first);
  if (after == by_first_.begin()) return false;
  const Held& held = std::prev(after)->second;
  return held.mode == mode && held.last >= span.last;
}

std::optional<LockRanges::Range> LockRanges::Collision(LockSpan span, LockMode mode) const {
  auto at = by_first_.upper_bound(span.first);
  if (at != by_first_.begin()) --at;
  for (; at != by_first_.end() && at->first <= span.last; ++at) {
    if (at->second.last < span.first) continue;
    if (mode == LockMode::kExclusive || at->second.mode == LockMode::kExclusive)
      return Range{{at->first, at->second.last}, at->second.mode};
  }
  return std::nullopt;
}

std::vector<LockRanges::Range> LockRanges::All() const {
  std::vector<Range> all;
  for (const auto& [first, held] : by_first_) all.push_back({{first, held.last}, held.mode});
  return all;
}

}  // namespace appendfs
