#include "master/memory_tables.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace appendfs {
namespace {

using Pairs = std::map<std::string, std::string, std::less<>>;
using Tables = std::array<std::shared_ptr<const Pairs>, kTableCount>;

const Pairs& Of(const Tables& tables, Table table) { return *tables[static_cast<size_t>(table)]; }

std::optional<std::string> GetFrom(const Pairs& pairs, std::string_view key) {
  auto found = pairs.find(key);
  if (found == pairs.end()) return std::nullopt;
  return found->second;
}

using Visit = std::function<bool(std::string_view key, std::string_view value)>;

void ScanOf(const Pairs& pairs, std::string_view prefix, std::string_view from,
            const Visit& visit) {
  for (auto at = pairs.lower_bound(std::max(prefix, from)); at != pairs.end(); ++at)
    if (!std::string_view(at->first).starts_with(prefix) || !visit(at->first, at->second)) return;
}

class MemorySnapshot final : public KeyValueReader {
 public:
  explicit MemorySnapshot(Tables tables) : tables_(std::move(tables)) {}

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override {
    return GetFrom(Of(tables_, table), key);
  }
  absl::Status Scan(Table table, std::string_view prefix, std::string_view from,
                    const Visit& visit) const override {
    ScanOf(Of(tables_, table), prefix, from, visit);
    return absl::OkStatus();
  }

 private:
  const Tables tables_;
};

// A table is copied when it is changed while somebody else looks at it.
class MemoryTables final : public DurableTables {
 public:
  MemoryTables() {
    for (std::shared_ptr<const Pairs>& pairs : tables_) pairs = std::make_shared<Pairs>();
  }

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override {
    return GetFrom(*Current(table), key);
  }
  absl::Status Scan(Table table, std::string_view prefix, std::string_view from,
                    const Visit& visit) const override {
    ScanOf(*Current(table), prefix, from, visit);
    return absl::OkStatus();
  }
  std::unique_ptr<KeyValueReader> Snapshot() const override {
    absl::MutexLock lock(&mutex_);
    return std::make_unique<MemorySnapshot>(tables_);
  }
  absl::Status Commit(const Overlay& changes) override {
    absl::MutexLock lock(&mutex_);
    std::array<Pairs*, kTableCount> changing = {};
    changes.ForEach([&](Table table, std::string_view key, const std::optional<std::string>& value)
                        ABSL_NO_THREAD_SAFETY_ANALYSIS {
                          std::shared_ptr<const Pairs>& pairs = tables_[static_cast<size_t>(table)];
                          Pairs*& ours = changing[static_cast<size_t>(table)];
                          if (!ours) {
                            auto copy = std::make_shared<Pairs>(*pairs);
                            ours = copy.get();
                            pairs = std::move(copy);
                          }
                          if (value)
                            ours->insert_or_assign(std::string(key), *value);
                          else if (auto found = ours->find(key); found != ours->end())
                            ours->erase(found);
                        });
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<const Pairs> Current(Table table) const {
    absl::MutexLock lock(&mutex_);
    return tables_[static_cast<size_t>(table)];
  }

  mutable absl::Mutex mutex_;
  Tables tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<DurableTables> MakeMemoryTables() { return std::make_unique<MemoryTables>(); }

absl::StatusOr<OpenedMetaLog> OpenMemoryMetaLog(MetaStateMachine& machine, const Clock& clock,
                                                const MetaLogOptions& options) {
  return OpenMetaLog(MakeMemoryTables(), machine, clock, options);
}

}  // namespace appendfs
