#include "chunkserver/rpc/fetch_client.h"

#include <memory>
#include <utility>

#include "absl/synchronization/notification.h"

namespace appendfs {
namespace {

constexpr Duration kDeadline = std::chrono::seconds(5);

}  // namespace

absl::StatusOr<FetchedBytes> FetchClient::Fetch(const std::string& address, ChunkHandle handle,
                                                Epoch epoch, uint64_t offset, uint32_t length) {
  v1::DataCall call;
  v1::FetchRequest& request = *call.mutable_fetch();
  request.set_handle(handle.value());
  request.set_epoch(epoch.value());
  request.set_offset(offset);
  request.set_length(length);
  struct Waiting {
    absl::Notification answered;
    absl::StatusOr<CallLink::Answer> answer;
  };
  auto waiting = std::make_shared<Waiting>();
  links_.To(address, membership_.self().cluster_uuid)
      ->Call(std::move(call), clock_.Monotonic() + kDeadline,
             [waiting](absl::StatusOr<CallLink::Answer> answer) {
               waiting->answer = std::move(answer);
               waiting->answered.Notify();
             });
  waiting->answered.WaitForNotification();
  APPENDFS_RETURN_IF_ERROR(waiting->answer.status());
  const v1::FetchResponse& response = waiting->answer->header.fetch();
  return FetchedBytes{std::move(waiting->answer->payload), response.crc32c(),
                      response.durable_length()};
}

}  // namespace appendfs
