#pragma once

#include <cstdint>

#include "client/master_client.h"

namespace appendfs {

// A master that opens sessions, 7 and those after it, and knows nothing else:
// its answers are empty.
class QuietMaster : public MasterClient {
 public:
  // clang-format off
  Result<v1::OpenSessionResponse> Call(const v1::OpenSessionRequest&, Duration) override {
    v1::OpenSessionResponse response;
    response.mutable_version()->set_lowest(1);
    response.mutable_version()->set_current(1);
    response.set_client_id(next_session_++);
    response.set_session_timeout_ms(600000);
    return response;
  }
  Result<v1::KeepAliveResponse> Call(const v1::KeepAliveRequest&, Duration) override { return v1::KeepAliveResponse(); }
  Result<v1::CloseSessionResponse> Call(const v1::CloseSessionRequest&, Duration) override { return v1::CloseSessionResponse(); }
  Result<v1::Entry> Call(const v1::LookupRequest&, Duration) override { return v1::Entry(); }
  Result<v1::Entry> Call(const v1::GetAttributesRequest&, Duration) override { return v1::Entry(); }
  Result<v1::Entry> Call(const v1::SetAttributesRequest&, Duration) override { return v1::Entry(); }
  Result<v1::MakeNodeResponse> Call(const v1::MakeNodeRequest&, Duration) override { return v1::MakeNodeResponse(); }
  Result<v1::ReadLinkResponse> Call(const v1::ReadLinkRequest&, Duration) override { return v1::ReadLinkResponse(); }
  Result<v1::Entry> Call(const v1::LinkRequest&, Duration) override { return v1::Entry(); }
  Result<v1::UnlinkResponse> Call(const v1::UnlinkRequest&, Duration) override { return v1::UnlinkResponse(); }
  Result<v1::RenameResponse> Call(const v1::RenameRequest&, Duration) override { return v1::RenameResponse(); }
  Result<v1::ReadDirectoryResponse> Call(const v1::ReadDirectoryRequest&, Duration) override { return v1::ReadDirectoryResponse(); }
  Result<v1::StatFsResponse> Call(const v1::StatFsRequest&, Duration) override { return v1::StatFsResponse(); }
  Result<v1::GetXattrResponse> Call(const v1::GetXattrRequest&, Duration) override { return v1::GetXattrResponse(); }
  Result<v1::ListXattrsResponse> Call(const v1::ListXattrsRequest&, Duration) override { return v1::ListXattrsResponse(); }
  Result<v1::SetXattrResponse> Call(const v1::SetXattrRequest&, Duration) override { return v1::SetXattrResponse(); }
  Result<v1::RemoveXattrResponse> Call(const v1::RemoveXattrRequest&, Duration) override { return v1::RemoveXattrResponse(); }
  Result<v1::FilePlan> Call(const v1::OpenRequest&, Duration) override { return v1::FilePlan(); }
  Result<v1::ReleaseResponse> Call(const v1::ReleaseRequest&, Duration) override { return v1::ReleaseResponse(); }
  Result<v1::FilePlan> Call(const v1::GetPlanRequest&, Duration) override { return v1::FilePlan(); }
  // clang-format on
  void OpenTail(const v1::OpenTailRequest&, Duration,
                absl::AnyInvocable<void(Result<v1::Chunk>) &&> done) override {
    std::move(done)(v1::Chunk());
  }
  void ReportReplica(const v1::ReportReplicaRequest&) override {}

 private:
  uint64_t next_session_ = 7;
};

}  // namespace appendfs
