#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"

namespace appendfs {

// The tables of the master; one RocksDB column family each. layout.h draws
// their keys and values.
enum class Table {
  kInodes,
  kDentries,
  kChunks,
  kHandles,
  kOrphans,
  kGarbage,
  kSessions,
  kServers,
  kResults,  // (client, sequence) → MetaResult
  kMeta,
  kXattrs,
};
inline constexpr int kTableCount = 11;

// A consistent view of the tables. Errors are INPUT_OUTPUT only; an absent key
// is no error.
class KeyValueReader {
 public:
  virtual ~KeyValueReader() = default;
  virtual absl::StatusOr<std::optional<std::string>> Get(Table table,
                                                         std::string_view key) const = 0;
  // Calls `visit` for every pair with from <= key and key starting with
  // `prefix`, rising bytewise, until it returns false.
  virtual absl::Status Scan(
      Table table, std::string_view prefix, std::string_view from,
      const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
};

// A view with changes on top, seen by its own reads; they reach the tables
// together, or not at all.
class KeyValueTransaction : public KeyValueReader {
 public:
  virtual void Put(Table table, std::string_view key, std::string_view value) = 0;
  virtual void Delete(Table table, std::string_view key) = 0;
};

}  // namespace appendfs
