#include "common/rpc/status.h"
#include "common/str_cat.h"

namespace appendfs {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
                      ToProto(status).SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status, std::string_view peer) {
  if (status.ok()) return absl::OkStatus();
  v1::Error error;
  if (!status.error_details().empty() && error.ParseFromString(status.error_details()) &&
      error.reason() != v1::REASON_UNSPECIFIED)
    return FromProto(error);
  absl::Status plain(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  return MakeError(ReasonOf(plain), StrCat(peer, ": ", status.error_message()));
}

}  // namespace appendfs
