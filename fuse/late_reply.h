#pragma once

#include <memory>

#include "fuse/current_call.h"
#include "fuse/reply.h"

namespace appendfs::fuse {

// A reply that another thread sends, when the cluster has answered or the call
// was interrupted. Keeps the call, which so counts as under way until then.
// Made by the callback, on its thread; sent once.
class LateReply {
 public:
  explicit LateReply(fuse_req_t request) : request_(request), call_(CallScope::Current()) {}

  void Send(const absl::Status& status) const { ReplyStatus(request_, status); }
  void SendErrno(int error) const { fuse_reply_err(request_, error); }
  void SendWritten(const absl::StatusOr<size_t>& written) const {
    if (!written.ok()) return Send(written.status());
    fuse_reply_write(request_, *written);
  }

 private:
  fuse_req_t request_;
  std::shared_ptr<Call> call_;
};

}  // namespace appendfs::fuse
