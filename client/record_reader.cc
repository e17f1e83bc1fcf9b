#include <algorithm>
#include <thread>
#include <utility>

#include "client/appendfs.h"
#include "common/clock.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr uint64_t kReadBytes = 256ull << 10;

}  // namespace

RecordReader::RecordReader(std::shared_ptr<File> file, Options options)
    : file_(std::move(file)), options_(options), position_(options.start) {}

absl::StatusOr<std::optional<RecordReader::Record>> RecordReader::Next(
    std::chrono::milliseconds wait) {
  const SystemClock clock;
  const Duration deadline = clock.Monotonic() + wait;
  while (true) {
    size_t end = pending_.find(options_.delimiter, scanned_);
    if (end != std::string::npos) {
      Record record{pending_.substr(begin_, end + 1 - begin_), position_};
      position_ = position_ + record.bytes.size();
      begin_ = scanned_ = end + 1;
      return record;
    }
    scanned_ = pending_.size();
    if (begin_ > 0) {  // what is left of the last read; once per read, not per record
      pending_.erase(0, begin_);
      scanned_ -= std::exchange(begin_, 0);
    }
    if (pending_.size() > options_.max_record_bytes)
      return MakeError(v1::TOO_LARGE, StrCat("the record at offset ", position_, " is longer than ",
                                             options_.max_record_bytes, " bytes"));
    APPENDFS_ASSIGN_OR_RETURN(Buffer more, file_->Read(position_ + pending_.size(), kReadBytes));
    if (!more.empty()) {
      pending_.append(more.view());
      continue;
    }
    Duration left = deadline - clock.Monotonic();
    if (left <= Duration::zero()) return std::optional<Record>();
    std::this_thread::sleep_for(std::min<Duration>(left, options_.poll));
  }
}

}  // namespace appendfs
