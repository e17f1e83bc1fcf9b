#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "master/kv.h"

namespace appendfs {

// Changes in memory on top of a view of the tables, which it does not own and
// which must not change below it. Overlays stack: one per operation, so that a
// refused one leaves nothing behind, on top of one per group. Not thread-safe.
class Overlay final : public KeyValueTransaction {
 public:
  explicit Overlay(const KeyValueReader* base) : base_(*base) {}
  Overlay(const Overlay&) = delete;

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override;
  absl::Status Scan(Table table, std::string_view prefix, std::string_view from,
                    const std::function<bool(std::string_view key, std::string_view value)>& visit)
      const override;
  void Put(Table table, std::string_view key, std::string_view value) override;
  void Delete(Table table, std::string_view key) override;

  bool empty() const;
  // Rises with every change made here.
  uint64_t changes_made() const { return changes_made_; }
  // Every change, table by table, keys rising; no value: deleted.
  void ForEach(const std::function<void(Table table, std::string_view key,
                                        const std::optional<std::string>& value)>& visit) const;
  // Makes these changes in `into`, and forgets them here.
  void MoveInto(KeyValueTransaction& into);

 private:
  using Changes = std::map<std::string, std::optional<std::string>, std::less<>>;
  const Changes& ChangesOf(Table table) const { return changes_[static_cast<size_t>(table)]; }
  Changes& ChangesOf(Table table) { return changes_[static_cast<size_t>(table)]; }

  const KeyValueReader& base_;
  std::array<Changes, kTableCount> changes_;
  uint64_t changes_made_ = 0;
};

}  // namespace appendfs
