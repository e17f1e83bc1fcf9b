#include "client/session.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "common/interruption.h"
#include "common/protocol.h"
#include "common/str_cat.h"
#include "common/utf8.h"
#include "common/wait.h"

namespace appendfs {
namespace {

constexpr Duration kAttempt = std::chrono::seconds(5);
constexpr Duration kGoodbye = std::chrono::seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> Session::Open(MasterClient& master, const Clock& clock,
                                                       Options options, Duration deadline) {
  std::unique_ptr<Session> session(new Session(master, clock, std::move(options)));
  APPENDFS_RETURN_IF_ERROR(session->OpenNew(deadline));
  return session;
}

void Session::Close() {
  Stop();
  v1::CloseSessionRequest request;
  request.set_client_id(id().value());
  (void)master_.Call(request, clock_.Monotonic() + kGoodbye);
}

absl::Status Session::OpenNew(Duration deadline) {
  v1::OpenSessionRequest request;
  *request.mutable_version() = OurProtocol();
  request.set_cluster_uuid(cluster_uuid_.empty() ? options_.cluster_uuid : cluster_uuid_);
  request.set_description(ToValidUtf8(options_.description));
  APPENDFS_ASSIGN_OR_RETURN(v1::OpenSessionResponse response, master_.Call(request, deadline));
  APPENDFS_RETURN_IF_ERROR(CheckProtocol(response.version(), "the master"));
  if (cluster_uuid_.empty()) {
    cluster_uuid_ = response.cluster_uuid();
    chunk_bytes_ = response.chunk_bytes();
  }
  ClientId id(response.client_id());
  mutations_.Restart(id);
  absl::MutexLock lock(&mutex_);
  id_ = id;
  incarnation_ = response.incarnation();
  interval_ = std::clamp<Duration>(std::chrono::milliseconds(response.session_timeout_ms()) / 6,
                                   std::chrono::milliseconds(50), std::chrono::seconds(5));
  expired_ = false;
  return absl::OkStatus();
}

void Session::Start(Listener& listener) {
  thread_ = std::thread([this, &listener] { Run(listener); });
}

void Session::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void Session::OnExpired(ClientId id) {
  absl::MutexLock lock(&mutex_);
  if (id == id_) expired_ = true;
}

bool Session::AwaitAfter(ClientId id, Duration deadline) {
  auto changed = [this, id]()
                     ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return id_ != id || stopping_; };
  absl::MutexLock lock(&mutex_);
  AwaitUnlessInterrupted(mutex_, absl::Condition(&changed), deadline - clock_.Monotonic());
  return id_ != id;
}

void Session::Run(Listener& listener) {
  listener_ = &listener;
  while (true) {
    bool expired = false;
    {
      absl::MutexLock lock(&mutex_);
      auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || expired_; };
      Await(mutex_, absl::Condition(&due), interval_);
      if (stopping_) return;
      expired = expired_;
    }
    if (expired)
      Renew();
    else
      KeepAlive();
  }
}

void Session::KeepAlive() {
  v1::KeepAliveRequest request;
  uint64_t incarnation;
  {
    absl::MutexLock lock(&mutex_);
    request.set_client_id(id_.value());
    incarnation = incarnation_;
  }
  request.set_incarnation(incarnation);
  auto response = master_.Call(request, clock_.Monotonic() + kAttempt);
  if (response.ok() && response->incarnation() != incarnation) {
    LOG(INFO) << "the master has restarted: client=" << request.client_id()
              << " incarnation=" << response->incarnation();
    request.set_incarnation(response->incarnation());
    request.set_reclaim(true);
    for (InodeId inode : listener_->OpenInodes()) request.add_open_inodes(inode.value());
    response = master_.Call(request, clock_.Monotonic() + kAttempt);
    if (response.ok() && listener_->OnMasterRestarted(ClientId(request.client_id())).ok()) {
      absl::MutexLock lock(&mutex_);
      incarnation_ = response->incarnation();
    }
  }
  if (HasReason(response.status(), v1::SESSION_EXPIRED)) OnExpired(ClientId(request.client_id()));
}

void Session::Renew() {
  ClientId old = id();
  absl::Status opened = OpenNew(clock_.Monotonic() + kAttempt);
  if (!opened.ok()) {
    LOG(WARNING) << "no new session after client=" << old << ": " << opened.message();
    absl::MutexLock lock(&mutex_);
    Await(mutex_, absl::Condition(&stopping_), std::chrono::seconds(1));
    return;
  }
  LOG(WARNING) << "the session client=" << old << " has expired; client=" << id() << " replaces it";
  listener_->OnNewSession(id());
  v1::KeepAliveRequest reclaim;
  {
    absl::MutexLock lock(&mutex_);
    reclaim.set_client_id(id_.value());
    reclaim.set_incarnation(incarnation_);
  }
  reclaim.set_reclaim(true);
  for (InodeId inode : listener_->OpenInodes()) reclaim.add_open_inodes(inode.value());
  (void)master_.Call(reclaim, clock_.Monotonic() + kAttempt);
}

}  // namespace appendfs
