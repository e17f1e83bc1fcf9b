#include "chunkserver/engine/membership.h"

#include <algorithm>
#include <utility>

#include "common/protocol.h"
#include "common/str_cat.h"

namespace appendfs {

Membership::Membership(std::string cluster_uuid, ServerId server)
    : self_{std::move(cluster_uuid), server} {}

Membership::Self Membership::self() const {
  absl::MutexLock lock(&mutex_);
  return self_;
}

void Membership::Registered(const Self& self) {
  absl::MutexLock lock(&mutex_);
  self_ = self;
  newest_ = std::max(newest_, Origin{self.incarnation, self.registration});
  registered_ = true;
}

absl::Status Membership::CheckCluster(const std::string& cluster_uuid) const {
  if (self_.cluster_uuid.empty())
    return MakeError(v1::NOT_READY, "the chunkserver has not registered with its master yet");
  if (cluster_uuid != self_.cluster_uuid)
    return MakeError(v1::WRONG_CLUSTER, StrCat("server ", self_.server, " belongs to cluster ",
                                               self_.cluster_uuid, ", not ", cluster_uuid));
  return absl::OkStatus();
}

absl::Status Membership::CheckHello(const v1::ClientHello& hello) const {
  absl::MutexLock lock(&mutex_);
  APPENDFS_RETURN_IF_ERROR(CheckProtocol(hello.version(), StrCat("client ", hello.client_id())));
  return CheckCluster(hello.cluster_uuid());
}

absl::Status Membership::CheckHello(const v1::DataHello& hello) const {
  absl::MutexLock lock(&mutex_);
  APPENDFS_RETURN_IF_ERROR(CheckProtocol(hello.version(), "the caller"));
  return CheckCluster(hello.cluster_uuid());
}

absl::Status Membership::CheckHello(const v1::PeerHello& hello) const {
  absl::MutexLock lock(&mutex_);
  APPENDFS_RETURN_IF_ERROR(CheckProtocol(hello.version(), StrCat("server ", hello.server_id())));
  APPENDFS_RETURN_IF_ERROR(CheckCluster(hello.cluster_uuid()));
  if (ServerId(hello.expected_server_id()) != self_.server)
    return MakeError(v1::WRONG_SERVER,
                     StrCat("this is server ", self_.server, ", not ", hello.expected_server_id()));
  return absl::OkStatus();
}

absl::Status Membership::CheckOrder(const v1::CommandOrigin& origin) {
  {
    absl::MutexLock lock(&mutex_);
    if (!registered_)
      return MakeError(v1::NOT_READY, "the chunkserver has not registered with its master yet");
  }
  return CheckCommand(origin);
}

absl::Status Membership::CheckCommand(const v1::CommandOrigin& origin) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_RETURN_IF_ERROR(CheckCluster(origin.cluster_uuid()));
  if (ServerId(origin.server_id()) != self_.server)
    return MakeError(v1::WRONG_SERVER,
                     StrCat("this is server ", self_.server, ", not ", origin.server_id()));
  const Origin theirs{origin.incarnation(), origin.registration()};
  if (theirs < newest_)
    return MakeError(v1::STALE_COMMAND,
                     StrCat("a command of incarnation ", theirs.incarnation, " registration ",
                            theirs.registration, " is older than ", newest_.incarnation, " and ",
                            newest_.registration));
  newest_ = theirs;
  return absl::OkStatus();
}

}  // namespace appendfs
