#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "client/file_locks.h"

namespace appendfs {

// Locks for clients in memory: everybody gets what he asks for.
class FreeLocks final : public FileLocks {
 public:
  void Lock(const FileLock&, bool, std::shared_ptr<LockUser>, Done done) override {
    std::move(done)(LockOutcome::kGranted);
  }
  void Unlock(const FileLock&, Done done) override { std::move(done)(LockOutcome::kGranted); }
  bool HasAny(const FileLock&) const override { return false; }
  absl::StatusOr<std::optional<Holder>> Test(const FileLock&) override { return std::nullopt; }
};

}  // namespace appendfs
