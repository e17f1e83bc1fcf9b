#include "client/file_status.h"

#include <algorithm>
#include <utility>

#include "common/interruption.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr Duration kAskPrimary = std::chrono::seconds(1);
constexpr Duration kFirstBackoff = std::chrono::milliseconds(2);
constexpr Duration kLongestBackoff = std::chrono::milliseconds(100);

}  // namespace

FileStatus ToFileStatus(const v1::Entry& entry, const std::optional<TailLength>& tail) {
  const v1::Attributes& attributes = entry.attributes();
  FileStatus status;
  status.inode = InodeId(attributes.inode());
  status.type = attributes.type();
  status.mode = attributes.mode();
  status.nlink = attributes.nlink();
  status.uid = attributes.uid();
  status.gid = attributes.gid();
  status.size = attributes.sealed_bytes();
  status.atime_ns = attributes.atime_ns();
  status.mtime_ns = attributes.mtime_ns();
  status.ctime_ns = attributes.ctime_ns();
  status.growing = entry.has_tail();
  if (!tail) return status;
  status.size = std::max(status.size, entry.tail().base_offset() + tail->length);
  bool was_set = attributes.mtime_set_ns() != 0;
  if (was_set && tail->mtime_ns > attributes.mtime_set_ns())
    status.mtime_ns = tail->mtime_ns;
  else if (!was_set)
    status.mtime_ns = std::max(status.mtime_ns, tail->mtime_ns);
  status.ctime_ns = std::max(status.ctime_ns, tail->mtime_ns);
  return status;
}

// One tail length that was asked for.
struct StatusResolver::Question {
  explicit Question(const v1::Chunk& tail) : handle(tail.handle()), epoch(tail.epoch()) {}
  const uint64_t handle, epoch;
  const std::shared_ptr<PendingAnswer<TailLength>> length =
      std::make_shared<PendingAnswer<TailLength>>();
};

std::shared_ptr<StatusResolver::Question> StatusResolver::Ask(const v1::Chunk& tail,
                                                              Duration deadline) {
  if (tail.state() != v1::OPEN) return nullptr;
  for (const v1::ServerAddress& replica : tail.replicas()) {
    if (replica.server_id() != tail.primary_id() || replica.address().empty()) continue;
    auto question = std::make_shared<Question>(tail);
    chunks_.AskLength(replica.address(), ChunkHandle(tail.handle()), Epoch(tail.epoch()),
                      std::min(deadline, clock_.Monotonic() + kAskPrimary),
                      [pending = question->length](absl::StatusOr<TailLength> length) {
                        pending->Set(std::move(length));
                      });
    return question;
  }
  return nullptr;
}

FileStatus StatusResolver::AsKnown(const v1::Entry& entry) const {
  if (entry.has_tail() && entry.tail().state() == v1::PARKED)
    return Merge(entry, TailLength{.length = entry.tail().length()});
  return Merge(entry, std::nullopt);
}

FileStatus StatusResolver::Merge(const v1::Entry& entry,
                                 const std::optional<TailLength>& tail) const {
  FileStatus status = ToFileStatus(entry, tail);
  if (status.type == v1::REGULAR)
    if (std::shared_ptr<KnownSize> known = known_(status.inode))
      status.size = known->Raise(status.size);
  return status;
}

absl::StatusOr<FileStatus> StatusResolver::Finish(v1::Entry entry,
                                                  std::shared_ptr<Question> question,
                                                  Duration deadline) {
  Duration backoff = kFirstBackoff;
  absl::Status error;
  while (true) {
    if (!entry.has_tail()) return Merge(entry, std::nullopt);
    if (entry.tail().state() == v1::PARKED)
      return Merge(entry, TailLength{.length = entry.tail().length()});
    if (question != nullptr && question->handle == entry.tail().handle() &&
        question->epoch == entry.tail().epoch()) {
      absl::StatusOr<TailLength> length = question->length->Take();
      if (length.ok() && !length->sealed) return Merge(entry, *length);
      error = length.status();
    }
    APPENDFS_RETURN_IF_ERROR(InterruptionStatus());
    // Being recovered, or its primary is not what the master believes (yet).
    Duration now = clock_.Monotonic();
    if (now >= deadline)
      return MakeError(
          v1::TIMED_OUT,
          StrCat("the size of inode=", entry.attributes().inode(), " could not be confirmed: ",
                 error.ok() ? "its last chunk is being recovered" : FromAbsl(error.message())));
    if (!SleepUnlessInterrupted(std::min(backoff, deadline - now))) return InterruptionStatus();
    backoff = std::min(backoff * 2, kLongestBackoff);
    APPENDFS_ASSIGN_OR_RETURN(entry, get_(InodeId(entry.attributes().inode()), deadline));
    question = entry.has_tail() ? Ask(entry.tail(), deadline) : nullptr;
  }
}

absl::StatusOr<FileStatus> StatusResolver::Get(InodeId inode,
                                               const std::optional<v1::Chunk>& likely_tail,
                                               Duration deadline) {
  if (const auto kept = kept_(inode)) return Complete(*kept, deadline);
  std::shared_ptr<Question> question;
  if (likely_tail) question = Ask(*likely_tail, deadline);
  APPENDFS_ASSIGN_OR_RETURN(v1::Entry entry, get_(inode, deadline));
  bool asked = question != nullptr && entry.has_tail() &&
               entry.tail().handle() == question->handle && entry.tail().epoch() == question->epoch;
  if (!asked && entry.has_tail()) question = Ask(entry.tail(), deadline);
  return Finish(std::move(entry), std::move(question), deadline);
}

absl::StatusOr<FileStatus> StatusResolver::Complete(const v1::Entry& entry, Duration deadline) {
  if (!entry.has_tail()) return Merge(entry, std::nullopt);
  return Finish(entry, Ask(entry.tail(), deadline), deadline);
}

std::vector<absl::StatusOr<FileStatus>> StatusResolver::CompleteAll(
    const std::vector<v1::Entry>& entries, Duration deadline) {
  std::vector<std::shared_ptr<Question>> questions;
  for (const v1::Entry& entry : entries)
    questions.push_back(entry.has_tail() ? Ask(entry.tail(), deadline) : nullptr);
  std::vector<absl::StatusOr<FileStatus>> all;
  for (size_t i = 0; i < entries.size(); ++i)
    all.push_back(Finish(entries[i], std::move(questions[i]), deadline));
  return all;
}

}  // namespace appendfs
