#include "client/file_impl.h"

#include "absl/synchronization/notification.h"

namespace appendfs {

absl::StatusOr<FileOffset> FileImpl::Append(std::string_view record) {
  struct Answer {
    absl::StatusOr<FileOffset> offset = FileOffset();
    absl::Notification arrived;
  };
  auto answer = std::make_shared<Answer>();
  AppendAsync(record, [answer](absl::StatusOr<FileOffset> offset) {
    answer->offset = std::move(offset);
    answer->arrived.Notify();
  });
  FlushAsync([answer] {});  // someone waits: do not gather
  answer->arrived.WaitForNotification();
  return answer->offset;
}

absl::Status FileImpl::Flush() {
  auto flushed = std::make_shared<absl::Notification>();
  FlushAsync([flushed] { flushed->Notify(); });
  flushed->WaitForNotification();
  return state_->appender->TakeFailure();
}

}  // namespace appendfs
