#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "chunkserver/store/group.h"
#include "common/buffer.h"
#include "common/file_system.h"
#include "common/status.h"

namespace appendfs {

// One group found in a segment.
struct GroupRef {
  size_t segment = 0;
  uint64_t offset = 0;  // in the segment
  GroupHeader header;
  bool records_intact = false;
};

// What a journal directory holds, before anything is concluded from it.
struct JournalScan {
  std::vector<GroupRef> groups;   // not older than asked for; rising sequence
  uint64_t claimed_durable = 0;   // by any header: groups up to here had been synced
  uint64_t highest_sequence = 0;  // of any header
};

// The segments of one data directory's journal: writes groups into the current
// one, reuses those whose groups are no longer needed, and reads everything
// back at start. Knows nothing of what groups mean. layout.h draws them.
//
// Write and WriteMark are called by one thread at a time; MakeSegment by
// one other; the rest by any. No lock is held while a file is touched.
class Journal {
 public:
  struct Options {
    uint64_t first_segment_bytes = 16 << 20;  // small: a new directory starts quickly
    uint64_t segment_bytes = 64 << 20;
    uint64_t max_bytes = 512 << 20;
    bool read_only = false;  // only Scan and ReadGroup are called
  };

  // Opens the segments in `directory` (exists) and makes durable what can be
  // read of them: what an earlier process wrote without living to sync it is
  // now either seen and durable, or not there.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(FileSystem& fs, std::string directory,
                                                       uint64_t journal_id, const Options& options);

  // At start: all groups from `first_live` on; segments without one are free.
  JournalScan Scan(uint64_t first_live);
  // The records and payload bytes of a group.
  absl::StatusOr<Buffer> ReadGroup(const GroupRef& group) const;
  // Writes an intact group once more where it is, durably. A group whose sync
  // failed may be readable and on no disk: kernels forget which pages they
  // failed to write. Nothing follows such a group, so only the last one is in doubt.
  absl::Status WriteAgain(const GroupRef& group);
  // Ends the start: the next group gets sequence `next` and follows `previous`.
  void StartAt(uint64_t next, uint64_t previous);

  // Bytes (aligned) of the largest group that can be written now.
  uint64_t Room() const;
  uint64_t segment_bytes() const { return options_.segment_bytes; }
  // Writes one group of at most Room() bytes, and makes it durable.
  absl::Status Write(GroupWriter& group);
  // Notes in the journal, durably, that the last group is durable, so that
  // damage to it is told from a torn tail. Does nothing if that was noted
  // already, or if there is no room.
  absl::Status WriteMark();
  // Whether WriteMark has something to do.
  bool WantsMark() const;

  uint64_t written() const;  // sequence of the last group written
  uint64_t durable() const;  // and synced

  // Whether another segment should be made: none with `Request`ed room is free.
  bool WantsSegment() const;
  void Request(uint64_t bytes);
  // Makes one more segment: zero-filled, synced. May take long.
  absl::Status MakeSegment();
  // Groups before `first_live` are no longer needed.
  void Trim(uint64_t first_live);
  uint64_t live_bytes() const;  // that a replay would read
  bool full() const;            // none with the requested room is free, and none may be made

 private:
  struct Segment {
    std::string path;
    std::unique_ptr<File> file;
    uint64_t bytes = 0;
    enum class Use { kFree, kLive, kCurrent } use = Use::kFree;
    uint64_t last_sequence = 0;
  };

  Journal(FileSystem& fs, std::string directory, uint64_t journal_id, const Options& options)
      : fs_(fs), directory_(std::move(directory)), journal_id_(journal_id), options_(options) {}
  void ScanSegment(size_t index, uint64_t first_live, JournalScan& into) const;
  // Bytes [from, to) of a group as it lies in its segment.
  absl::StatusOr<std::string> ReadAt(const GroupRef& group, uint64_t from, uint64_t to) const;
  uint64_t LargestFree() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayGrow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MarkIsDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status MakeFile(Segment& segment);
  Segment& PlaceFor(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FileSystem& fs_;
  const std::string directory_;
  const uint64_t journal_id_;
  const Options options_;

  mutable absl::Mutex mutex_;
  // Never shrinks; a segment's file and size do not change.
  std::vector<std::unique_ptr<Segment>> segments_ ABSL_GUARDED_BY(mutex_);
  Segment* current_ ABSL_GUARDED_BY(mutex_) = nullptr;
  uint64_t position_ ABSL_GUARDED_BY(mutex_) = 0;       // in the current segment
  bool growth_failed_ ABSL_GUARDED_BY(mutex_) = false;  // the last MakeSegment did
  uint64_t requested_ ABSL_GUARDED_BY(mutex_) = 1;
  uint32_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t marked_ ABSL_GUARDED_BY(mutex_) = 0;  // what the last header said of `durable`
};

}  // namespace appendfs
