#include "master/group_meta_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "master/memory_tables.h"
#include "master/namespace/meta_machine.h"
#include "master/namespace/reads.h"
#include "tests/master/log_helpers.h"

namespace appendfs {
namespace {

// Tables whose commits can be counted, held and made to fail.
class TouchyTables final : public DurableTables {
 public:
  struct Control {
    absl::Mutex mutex;
    int commits ABSL_GUARDED_BY(mutex) = 0;
    int held ABSL_GUARDED_BY(mutex) = 0;  // waiting in Commit
    bool hold ABSL_GUARDED_BY(mutex) = false;
    bool fail ABSL_GUARDED_BY(mutex) = false;
  };
  explicit TouchyTables(Control& control) : control_(control), tables_(MakeMemoryTables()) {}

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override {
    return tables_->Get(table, key);
  }
  absl::Status Scan(Table table, std::string_view prefix, std::string_view from,
                    const std::function<bool(std::string_view key, std::string_view value)>& visit)
      const override {
    return tables_->Scan(table, prefix, from, visit);
  }
  std::unique_ptr<KeyValueReader> Snapshot() const override { return tables_->Snapshot(); }
  absl::Status Commit(const Overlay& changes) override {
    absl::MutexLock lock(&control_.mutex);
    ++control_.commits;
    ++control_.held;
    control_.mutex.Await(absl::Condition(
        +[](Control* control) ABSL_SHARED_LOCKS_REQUIRED(control->mutex) { return !control->hold; },
        &control_));
    --control_.held;
    if (control_.fail) return MakeError(v1::INPUT_OUTPUT, "the disk is gone");
    return tables_->Commit(changes);
  }

 private:
  Control& control_;
  const std::unique_ptr<DurableTables> tables_;
};

class GroupMetaLogTest : public ::testing::Test {
 protected:
  GroupMetaLogTest() {
    MetaLogOptions options;
    options.on_failure = [this](const absl::Status& status) { failures_.push_back(status); };
    opened_ =
        OpenMetaLog(std::make_unique<TouchyTables>(control_), machine_, clock_, options).value();
    client_ = OpenSession(log());
  }
  MetaLog& log() { return *opened_.log; }
  void Set(bool hold, bool fail) {
    absl::MutexLock lock(&control_.mutex);
    control_.hold = hold;
    control_.fail = fail;
  }
  int commits() {
    absl::MutexLock lock(&control_.mutex);
    return control_.commits;
  }
  void WaitUntilHeld() {
    absl::MutexLock lock(&control_.mutex);
    ASSERT_TRUE(control_.mutex.AwaitWithTimeout(
        absl::Condition(
            +[](TouchyTables::Control* control)
                 ABSL_SHARED_LOCKS_REQUIRED(control->mutex) { return control->held > 0; },
            &control_),
        absl::Seconds(10)));
  }

  MetaMachine machine_;
  ManualClock clock_;
  TouchyTables::Control control_;
  std::vector<absl::Status> failures_;  // the log's thread writes it, before answering
  OpenedMetaLog opened_;
  uint64_t client_ = 0;
};

TEST_F(GroupMetaLogTest, Open_EmptyTables_MakesACluster) {
  EXPECT_TRUE(opened_.created);
  EXPECT_EQ(opened_.cluster_uuid.size(), 36u);
  EXPECT_EQ(opened_.incarnation, 1u);
  EXPECT_TRUE(GetEntry(*log().Snapshot(), kRootInode).ok());
}

TEST_F(GroupMetaLogTest, ProposedDuringACommit_ShareTheNext) {
  int before = commits();
  Set(true, false);
  std::vector<uint64_t> indices;
  absl::Notification first;
  log().Propose(MakeFileOp(client_, 1, "first"), [&](absl::StatusOr<v1::MetaResult> result) {
    indices.push_back(result->index());
    first.Notify();
  });
  WaitUntilHeld();
  absl::Notification last;
  for (int i = 2; i <= 200; ++i)
    log().Propose(MakeFileOp(client_, i, "f" + std::to_string(i)),
                  [&, i](absl::StatusOr<v1::MetaResult> result) {
                    EXPECT_FALSE(result->has_error());
                    indices.push_back(result->index());
                    if (i == 200) last.Notify();
                  });
  EXPECT_FALSE(first.HasBeenNotified());  // not before it is durable
  EXPECT_FALSE(Lookup(*log().Snapshot(), kRootInode, "first").ok());
  Set(false, false);
  last.WaitForNotification();
  EXPECT_EQ(commits() - before, 2);
  std::vector<uint64_t> rising(200);
  std::iota(rising.begin(), rising.end(), indices.front());
  EXPECT_EQ(indices, rising);
}

TEST_F(GroupMetaLogTest, Refusal_InAGroup_LeavesTheOthersAlone) {
  Set(true, false);
  absl::Notification done;
  std::vector<Reason> reasons;
  auto note = [&](absl::StatusOr<v1::MetaResult> result) {
    reasons.push_back(result->error().reason());
    if (reasons.size() == 4) done.Notify();
  };
  log().Propose(MakeFileOp(client_, 1, "zero"), note);
  WaitUntilHeld();
  log().Propose(MakeFileOp(client_, 2, "a"), note);
  log().Propose(MakeFileOp(client_, 3, "a"), note);  // sees the one before it in the group
  log().Propose(MakeFileOp(client_, 4, "b"), note);
  Set(false, false);
  done.WaitForNotification();
  EXPECT_THAT(reasons, ::testing::ElementsAre(v1::REASON_UNSPECIFIED, v1::REASON_UNSPECIFIED,
                                              v1::ENTRY_EXISTS, v1::REASON_UNSPECIFIED));
  EXPECT_TRUE(Lookup(*log().Snapshot(), kRootInode, "b").ok());
}

TEST_F(GroupMetaLogTest, NothingButRefusals_NeedNoCommit) {
  int before = commits();
  absl::StatusOr<v1::MetaResult> result =
      ProposeAndWait(log(), UnlinkFileOp(client_, 1, "nothing"));
  EXPECT_EQ(result->error().reason(), v1::NO_ENTRY);
  EXPECT_EQ(commits(), before);
}

TEST_F(GroupMetaLogTest, FailedCommit_FailsEverythingFromThenOn) {
  Set(false, true);
  EXPECT_TRUE(
      HasReason(ProposeAndWait(log(), MakeFileOp(client_, 1, "a")).status(), v1::INPUT_OUTPUT));
  Set(false, false);
  EXPECT_TRUE(
      HasReason(ProposeAndWait(log(), MakeFileOp(client_, 2, "b")).status(), v1::INPUT_OUTPUT));
  EXPECT_EQ(failures_.size(), 1u);
  EXPECT_FALSE(Lookup(*log().Snapshot(), kRootInode, "a").ok());
}

TEST_F(GroupMetaLogTest, Stop_AnswersWhatIsQueuedAndDropsWhatComesLater) {
  int answered = 0;
  for (int i = 1; i <= 50; ++i)
    log().Propose(MakeFileOp(client_, i, "f" + std::to_string(i)),
                  [&](absl::StatusOr<v1::MetaResult>) { ++answered; });
  log().Stop();
  EXPECT_EQ(answered, 50);
  log().Propose(MakeFileOp(client_, 51, "late"),
                [&](absl::StatusOr<v1::MetaResult>) { ++answered; });
  log().Stop();
  EXPECT_EQ(answered, 50);
  EXPECT_FALSE(Lookup(*log().Snapshot(), kRootInode, "late").ok());
}

}  // namespace
}  // namespace appendfs
