#include "client/master_client.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "common/interruption.h"
#include "common/link/call_link.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr Duration kFirstBackoff = std::chrono::milliseconds(10);
constexpr Duration kLongestBackoff = std::chrono::milliseconds(250);
// One attempt; a master that is silent for longer is asked again.
constexpr Duration kAttempt = std::chrono::seconds(5);
// A connection on which nothing came for this long while an attempt ran is not
// trusted with the next one.
constexpr Duration kSilence = kAttempt / 2;

// Is the error the transport's or a starting master's, not the call's?
bool IsAway(const absl::Status& status) {
  return IsTransient(status) && !HasReason(status, v1::INTERRUPTED);
}

using Question = v1::MasterCall;
using Answer = v1::MasterAnswer;

class LinkMasterClient final : public MasterClient, MasterNews::Listener {
 public:
  LinkMasterClient(std::string addresses, Executor& timers, const Clock& clock) : clock_(clock) {
    for (absl::string_view part : absl::StrSplit(ToAbsl(addresses), ',', absl::SkipWhitespace()))
      peers_.push_back(std::make_shared<MasterCallLink>(
          threads_, timers, clock, std::string(absl::StripAsciiWhitespace(part)), ""));
  }
  ~LinkMasterClient() override { Stop(); }

  // clang-format off
  Result<v1::OpenSessionResponse> Call(const v1::OpenSessionRequest& r, Duration d) override { return Repeat(&Question::mutable_open_session, &Answer::mutable_open_session, r, d); }
  Result<v1::KeepAliveResponse> Call(const v1::KeepAliveRequest& r, Duration d) override { return Repeat(&Question::mutable_keep_alive, &Answer::mutable_keep_alive, r, d); }
  Result<v1::CloseSessionResponse> Call(const v1::CloseSessionRequest& r, Duration d) override { return Repeat(&Question::mutable_close_session, &Answer::mutable_close_session, r, d); }
  Result<v1::Entry> Call(const v1::LookupRequest& r, Duration d) override { return Repeat(&Question::mutable_lookup, &Answer::mutable_entry, r, d); }
  Result<v1::Entry> Call(const v1::GetAttributesRequest& r, Duration d) override { return Repeat(&Question::mutable_get_attributes, &Answer::mutable_entry, r, d); }
  Result<v1::Entry> Call(const v1::SetAttributesRequest& r, Duration d) override { return Repeat(&Question::mutable_set_attributes, &Answer::mutable_entry, r, d); }
  Result<v1::MakeNodeResponse> Call(const v1::MakeNodeRequest& r, Duration d) override { return Repeat(&Question::mutable_make_node, &Answer::mutable_make_node, r, d); }
  Result<v1::ReadLinkResponse> Call(const v1::ReadLinkRequest& r, Duration d) override { return Repeat(&Question::mutable_read_link, &Answer::mutable_read_link, r, d); }
  Result<v1::Entry> Call(const v1::LinkRequest& r, Duration d) override { return Repeat(&Question::mutable_link, &Answer::mutable_entry, r, d); }
  Result<v1::UnlinkResponse> Call(const v1::UnlinkRequest& r, Duration d) override { return Repeat(&Question::mutable_unlink, &Answer::mutable_unlink, r, d); }
  Result<v1::RenameResponse> Call(const v1::RenameRequest& r, Duration d) override { return Repeat(&Question::mutable_rename, &Answer::mutable_rename, r, d); }
  Result<v1::ReadDirectoryResponse> Call(const v1::ReadDirectoryRequest& r, Duration d) override { return Repeat(&Question::mutable_read_directory, &Answer::mutable_read_directory, r, d); }
  Result<v1::StatFsResponse> Call(const v1::StatFsRequest& r, Duration d) override { return Repeat(&Question::mutable_stat_fs, &Answer::mutable_stat_fs, r, d); }
  Result<v1::GetXattrResponse> Call(const v1::GetXattrRequest& r, Duration d) override { return Repeat(&Question::mutable_get_xattr, &Answer::mutable_get_xattr, r, d); }
  Result<v1::ListXattrsResponse> Call(const v1::ListXattrsRequest& r, Duration d) override { return Repeat(&Question::mutable_list_xattrs, &Answer::mutable_list_xattrs, r, d); }
  Result<v1::SetXattrResponse> Call(const v1::SetXattrRequest& r, Duration d) override { return Repeat(&Question::mutable_set_xattr, &Answer::mutable_set_xattr, r, d); }
  Result<v1::RemoveXattrResponse> Call(const v1::RemoveXattrRequest& r, Duration d) override { return Repeat(&Question::mutable_remove_xattr, &Answer::mutable_remove_xattr, r, d); }
  Result<v1::FilePlan> Call(const v1::OpenRequest& r, Duration d) override { return Repeat(&Question::mutable_open, &Answer::mutable_plan, r, d); }
  Result<v1::ReleaseResponse> Call(const v1::ReleaseRequest& r, Duration d) override { return Repeat(&Question::mutable_release, &Answer::mutable_release, r, d); }
  Result<v1::FilePlan> Call(const v1::GetPlanRequest& r, Duration d) override { return Repeat(&Question::mutable_get_plan, &Answer::mutable_plan, r, d); }
  // clang-format on

  void OpenTail(const v1::OpenTailRequest& request, Duration deadline,
                absl::AnyInvocable<void(Result<v1::Chunk>) &&> done) override {
    Question question;
    *question.mutable_open_tail() = request;
    MasterCallLink& peer = Current();
    Ask(peer, std::move(question), std::max(deadline, clock_.Monotonic() + kFirstBackoff),
        [this, &peer, done = std::move(done)](Result<Answer> answer) mutable {
          if (answer.ok())
            return std::move(done)(std::move(*answer->mutable_open_tail()->mutable_tail()));
          if (HasReason(answer.status(), v1::UNREACHABLE)) Next(peer);
          std::move(done)(answer.status());
        });
  }

  void ReportReplica(const v1::ReportReplicaRequest& request) override {
    Question question;
    *question.mutable_report_replica() = request;
    Ask(Current(), std::move(question), clock_.Monotonic() + kAttempt, [](const auto&) {});
  }

  // With several masters only one can be asked, but which one is believed would
  // take more than this.
  bool Watch(Watcher& watcher) override {
    if (peers_.size() != 1) return false;
    watcher_ = &watcher;
    peers_[0]->news().Listen(this);
    return true;
  }
  Duration BelievedUntil() const override {
    return watcher_ == nullptr ? Duration::zero() : peers_[0]->news().believed_until();
  }
  bool Believes() const override { return clock_.Monotonic() < BelievedUntil(); }

  void Stop() override {
    for (const auto& peer : peers_) peer->Stop();
    threads_.Stop();
  }

 private:
  // MasterNews::Listener
  void OnChanged(const v1::Changed& changed, Heard heard) override {
    std::vector<InodeId> inodes;
    for (uint64_t inode : changed.inodes()) inodes.emplace_back(inode);
    watcher_->OnChanged(inodes, std::move(heard));
  }
  void OnRefused() override { watcher_->OnRefused(); }
  void OnAnswerToNobody() override { watcher_->OnLost(); }
  void OnLost() override { watcher_->OnLost(); }

  MasterCallLink& Current() {
    return *peers_[current_.load(std::memory_order_relaxed) % peers_.size()];
  }
  // Goes on to the next address, unless another call has done so.
  void Next(const MasterCallLink& failed) {
    unsigned current = current_.load(std::memory_order_relaxed);
    if (peers_.size() > 1 && peers_[current % peers_.size()].get() == &failed)
      current_.compare_exchange_strong(current, current + 1, std::memory_order_relaxed);
  }

  // One attempt.
  void Ask(MasterCallLink& peer, Question question, Duration deadline,
           absl::AnyInvocable<void(Result<Answer>) &&> done) {
    const Duration patience = std::max<Duration>(deadline - clock_.Monotonic(), Duration::zero());
    question.set_watch(watcher_ != nullptr);
    question.set_patience_ms(static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(patience).count()));
    peer.Call(std::move(question), deadline,
              [&peer, done = std::move(done)](Result<MasterCallLink::Answer> answer) mutable {
                if (!answer.ok()) return std::move(done)(Named(answer.status()));
                if (answer->header.answer_case() == Answer::ANSWER_NOT_SET)
                  return std::move(done)(MakeError(
                      v1::INVALID, StrCat("master ", peer.address(), ": an answer is empty")));
                std::move(done)(std::move(answer->header));
              });
  }
  static absl::Status Named(const absl::Status& status) {
    if (!HasReason(status, v1::UNREACHABLE)) return status;
    return MakeError(v1::UNREACHABLE, StrCat("master ", FromAbsl(status.message())));
  }

  // An attempt that is interrupted goes on, but nobody waits for it: what it
  // changes is then told to nobody here, as with an answer that comes too late.
  Result<Answer> AskAndWait(MasterCallLink& peer, Question question, Duration deadline) {
    auto pending = std::make_shared<PendingAnswer<Answer>>();
    Ask(peer, std::move(question), deadline, [this, pending](Result<Answer> answer) {
      if (!pending->Set(std::move(answer)) && watcher_ != nullptr) watcher_->OnLost();
    });
    return pending->Take();
  }

  // What a call ends with whose caller does not wait any more.
  template <class Request>
  static absl::Status Abandoned(const Request&, bool sent) {
    absl::Status why = InterruptionStatus();
    if constexpr (requires(const Request& changes) { changes.mutation(); }) {
      if (sent)
        return MakeError(
            v1::IN_DOUBT,
            StrCat(FromAbsl(why.message()), " before the master answered; it may have been done"));
    }
    return why;
  }

  template <class Request, class Response>
  Result<Response> Repeat(Request* (Question::*put)(), Response* (Answer::*take)(),
                          const Request& request, Duration deadline) {
    Duration backoff = kFirstBackoff;
    if (!InterruptionStatus().ok()) return Abandoned(request, /*sent=*/false);
    while (true) {
      MasterCallLink& peer = Current();
      Question question;
      *(question.*put)() = request;
      const Duration now = clock_.Monotonic();
      Result<Answer> answer =
          AskAndWait(peer, std::move(question),
                     now + std::clamp<Duration>(deadline - now, kFirstBackoff, kAttempt));
      if (answer.ok()) return std::move(*((*answer).*take)());
      if (!InterruptionStatus().ok()) return Abandoned(request, /*sent=*/true);
      if (!IsAway(answer.status())) return answer.status();
      // A repeated change gets its first answer, which may be older than what was watched.
      if (watcher_ != nullptr) watcher_->OnRefused();
      if (HasReason(answer.status(), v1::TIMED_OUT))
        peer.BreakIfSilentSince(clock_.Monotonic() - kSilence);
      Next(peer);
      if (deadline - clock_.Monotonic() <= backoff) return answer.status();
      if (!SleepUnlessInterrupted(backoff)) return Abandoned(request, /*sent=*/true);
      backoff = std::min(backoff * 2, kLongestBackoff);
    }
  }

  const Clock& clock_;
  IoThreads threads_{"master-link"};
  std::vector<std::shared_ptr<MasterCallLink>> peers_;
  std::atomic<unsigned> current_{0};
  Watcher* watcher_ = nullptr;
};

}  // namespace

std::unique_ptr<MasterClient> MasterClient::Create(std::string addresses, Executor& timers,
                                                   const Clock& clock) {
  return std::make_unique<LinkMasterClient>(std::move(addresses), timers, clock);
}

}  // namespace appendfs
