#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "common/clock.h"
#include "master/meta_log.h"

namespace appendfs {

// Moves only when it is told to.
class ManualClock final : public Clock {
 public:
  Duration Monotonic() const override { return Duration(now_.load()); }
  uint64_t WallNanos() const override { return 1'000'000'000'000 + now_.load(); }
  void Advance(Duration by) { now_ += by.count(); }

 private:
  std::atomic<int64_t> now_{0};
};

// Proposes, and waits for the answer.
inline absl::StatusOr<v1::MetaResult> ProposeAndWait(MetaLog& log, v1::MetaOp op) {
  absl::StatusOr<v1::MetaResult> result = absl::UnknownError("no answer");
  absl::Notification answered;
  log.Propose(std::move(op), [&](absl::StatusOr<v1::MetaResult> r) {
    result = std::move(r);
    answered.Notify();
  });
  answered.WaitForNotification();
  return result;
}

inline uint64_t OpenSession(MetaLog& log) {
  v1::MetaOp op;
  op.mutable_open_session()->set_description("test");
  return ProposeAndWait(log, std::move(op)).value().id();
}

inline v1::MetaOp MakeFileOp(uint64_t client, uint64_t sequence, const std::string& name) {
  v1::MetaOp op;
  op.set_now_ns(5);
  v1::MakeNodeRequest& make = *op.mutable_make_node();
  make.mutable_mutation()->set_client_id(client);
  make.mutable_mutation()->set_sequence(sequence);
  make.set_parent(1);
  make.set_name(name);
  make.set_type(v1::REGULAR);
  make.set_mode(0644);
  make.set_exclusive(true);
  return op;
}

inline v1::MetaOp UnlinkFileOp(uint64_t client, uint64_t sequence, const std::string& name) {
  v1::MetaOp op;
  op.set_now_ns(6);
  v1::UnlinkRequest& unlink = *op.mutable_unlink();
  unlink.mutable_mutation()->set_client_id(client);
  unlink.mutable_mutation()->set_sequence(sequence);
  unlink.set_parent(1);
  unlink.set_name(name);
  return op;
}

}  // namespace appendfs
