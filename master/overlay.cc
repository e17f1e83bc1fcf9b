#include "master/overlay.h"

#include <algorithm>

namespace appendfs {

absl::StatusOr<std::optional<std::string>> Overlay::Get(Table table, std::string_view key) const {
  const Changes& changes = ChangesOf(table);
  if (auto found = changes.find(key); found != changes.end()) return found->second;
  return base_.Get(table, key);
}

absl::Status Overlay::Scan(
    Table table, std::string_view prefix, std::string_view from,
    const std::function<bool(std::string_view key, std::string_view value)>& visit) const {
  const Changes& changes = ChangesOf(table);
  auto change = changes.lower_bound(std::max(prefix, from));
  auto ours = [&] {
    return change != changes.end() && std::string_view(change->first).starts_with(prefix);
  };
  bool go_on = true;
  // Visits our own pairs below `key`.
  auto visit_ours_below = [&](std::optional<std::string_view> key) {
    for (; go_on && ours() && (!key || change->first < *key); ++change)
      if (change->second) go_on = visit(change->first, *change->second);
  };
  APPENDFS_RETURN_IF_ERROR(
      base_.Scan(table, prefix, from, [&](std::string_view key, std::string_view value) {
        visit_ours_below(key);
        if (!go_on) return false;
        if (ours() && change->first == key) {
          if (change->second) go_on = visit(change->first, *change->second);
          ++change;
        } else {
          go_on = visit(key, value);
        }
        return go_on;
      }));
  visit_ours_below(std::nullopt);
  return absl::OkStatus();
}

void Overlay::Put(Table table, std::string_view key, std::string_view value) {
  ++changes_made_;
  ChangesOf(table).insert_or_assign(std::string(key), std::string(value));
}

void Overlay::Delete(Table table, std::string_view key) {
  ++changes_made_;
  ChangesOf(table).insert_or_assign(std::string(key), std::nullopt);
}

bool Overlay::empty() const {
  return std::all_of(changes_.begin(), changes_.end(),
                     [](const Changes& changes) { return changes.empty(); });
}

void Overlay::ForEach(const std::function<void(Table, std::string_view,
                                               const std::optional<std::string>&)>& visit) const {
  for (size_t table = 0; table < changes_.size(); ++table)
    for (const auto& [key, value] : changes_[table]) visit(static_cast<Table>(table), key, value);
}

void Overlay::MoveInto(KeyValueTransaction& into) {
  ForEach([&](Table table, std::string_view key, const std::optional<std::string>& value) {
    if (value)
      into.Put(table, key, *value);
    else
      into.Delete(table, key);
  });
  for (Changes& changes : changes_) changes.clear();
}

}  // namespace appendfs
