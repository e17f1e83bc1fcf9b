#include "chunkserver/store/journal.h"

#include <algorithm>
#include <span>

#include "chunkserver/store/layout.h"
#include "common/crc32c.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr size_t kFewestSegments = 4;  // however small the bound is: one written, one ready

// Reads a segment as far as the disk gives it: what it does not give is left
// zero, and shows as groups that are missing.
std::string ReadReadable(const File& file, uint64_t bytes) {
  constexpr uint64_t kPartBytes = 4096;
  std::string content(bytes, '\0');
  if (file.Read(0, content.data(), bytes).ok()) return content;
  for (uint64_t at = 0; at < bytes; at += kPartBytes)
    file.Read(at, content.data() + at, std::min(kPartBytes, bytes - at)).status().IgnoreError();
  return content;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(FileSystem& fs, std::string directory,
                                                       uint64_t journal_id,
                                                       const Options& options) {
  auto journal =
      std::unique_ptr<Journal>(new Journal(fs, std::move(directory), journal_id, options));
  APPENDFS_ASSIGN_OR_RETURN(std::vector<std::string> names, fs.List(journal->directory_));
  std::sort(names.begin(), names.end());
  std::vector<std::unique_ptr<Segment>> segments;
  uint32_t next_number = 1;
  for (const std::string& name : names) {
    std::string path = StrCat(journal->directory_, "/", name);
    auto number = layout::ParseSegmentName(name);
    if (!number) {
      if (name.ends_with(".tmp") && !options.read_only) APPENDFS_RETURN_IF_ERROR(fs.Remove(path));
      continue;
    }
    auto segment = std::make_unique<Segment>();
    segment->path = path;
    APPENDFS_ASSIGN_OR_RETURN(segment->file,
                              fs.Open(path, options.read_only ? FileSystem::OpenMode::kRead
                                                              : FileSystem::OpenMode::kReadWrite));
    APPENDFS_ASSIGN_OR_RETURN(segment->bytes, segment->file->Size());
    if (!options.read_only) APPENDFS_RETURN_IF_ERROR(segment->file->Sync());
    segments.push_back(std::move(segment));
    next_number = std::max(next_number, *number + 1);
  }
  if (!options.read_only) APPENDFS_RETURN_IF_ERROR(fs.SyncDirectory(journal->directory_));
  absl::MutexLock lock(&journal->mutex_);
  journal->segments_ = std::move(segments);
  journal->next_number_ = next_number;
  return journal;
}

JournalScan Journal::Scan(uint64_t first_live) {
  size_t count;
  {
    absl::MutexLock lock(&mutex_);
    count = segments_.size();
  }
  JournalScan scan;
  for (size_t i = 0; i < count; ++i) ScanSegment(i, first_live, scan);
  std::sort(scan.groups.begin(), scan.groups.end(), [](const GroupRef& a, const GroupRef& b) {
    return a.header.sequence < b.header.sequence;
  });
  absl::MutexLock lock(&mutex_);
  for (const GroupRef& group : scan.groups) {
    Segment& segment = *segments_[group.segment];
    segment.use = Segment::Use::kLive;
    segment.last_sequence = std::max(segment.last_sequence, group.header.sequence);
  }
  return scan;
}

void Journal::ScanSegment(size_t index, uint64_t first_live, JournalScan& into) const {
  const File* file;
  uint64_t bytes;
  {
    absl::MutexLock lock(&mutex_);
    file = segments_[index]->file.get();
    bytes = segments_[index]->bytes;
  }
  const std::string content = ReadReadable(*file, bytes);
  const std::string_view all = content;
  for (uint64_t at = 0; at + GroupHeader::kBytes <= all.size(); at += layout::kGroupAlignment) {
    auto header = GroupHeader::Decode(all.substr(at, GroupHeader::kBytes));
    if (!header || header->journal_id != journal_id_) continue;
    into.claimed_durable = std::max(into.claimed_durable, header->durable);
    into.highest_sequence = std::max(into.highest_sequence, header->sequence);
    // What an earlier use of the segment left is not skipped as a whole: its
    // first bytes may be all that is left of it.
    if (header->records == 0 || (header->sequence < first_live && !PLANTED(kReplayStaleTail)))
      continue;
    GroupRef group{.segment = index, .offset = at, .header = *header};
    std::string_view body = all.substr(at + GroupHeader::kBytes);
    group.records_intact = header->record_bytes <= body.size() &&
                           header->payload_bytes <= body.size() - header->record_bytes &&
                           Crc32c(body.substr(0, header->record_bytes)) == header->records_crc32c;
    // Payload bytes may look like a group (a copied journal): step over them.
    if (group.records_intact) at += AlignGroup(header->total_bytes()) - layout::kGroupAlignment;
    into.groups.push_back(group);
  }
}

absl::StatusOr<std::string> Journal::ReadAt(const GroupRef& group, uint64_t from,
                                            uint64_t to) const {
  const File* file;
  {
    absl::MutexLock lock(&mutex_);
    file = segments_[group.segment]->file.get();
  }
  std::string content(to - from, '\0');
  APPENDFS_ASSIGN_OR_RETURN(size_t read,
                            file->Read(group.offset + from, content.data(), content.size()));
  content.resize(read);
  return content;
}

absl::StatusOr<Buffer> Journal::ReadGroup(const GroupRef& group) const {
  APPENDFS_ASSIGN_OR_RETURN(std::string content,
                            ReadAt(group, GroupHeader::kBytes, group.header.total_bytes()));
  return Buffer::From(std::move(content));
}

absl::Status Journal::WriteAgain(const GroupRef& group) {
  APPENDFS_ASSIGN_OR_RETURN(std::string content,
                            ReadAt(group, 0, AlignGroup(group.header.total_bytes())));
  File* file;
  {
    absl::MutexLock lock(&mutex_);
    file = segments_[group.segment]->file.get();
  }
  const std::string_view bytes = content;
  return file->WriteDurably(group.offset, std::span(&bytes, 1));
}

void Journal::StartAt(uint64_t next, uint64_t previous) {
  absl::MutexLock lock(&mutex_);
  next_ = next;
  written_ = durable_ = previous;
}

uint64_t Journal::LargestFree() const {
  uint64_t largest = 0;
  for (const auto& segment : segments_)
    if (segment->use == Segment::Use::kFree) largest = std::max(largest, segment->bytes);
  return largest;
}

bool Journal::MayGrow() const {
  return segments_.size() <
         std::max<uint64_t>(kFewestSegments, options_.max_bytes / options_.segment_bytes);
}

uint64_t Journal::Room() const {
  absl::MutexLock lock(&mutex_);
  return std::max(current_ ? current_->bytes - position_ : 0, LargestFree());
}

Journal::Segment& Journal::PlaceFor(uint64_t bytes) {
  if (current_ && current_->bytes - position_ >= bytes) return *current_;
  if (current_) current_->use = Segment::Use::kLive;
  for (const auto& segment : segments_) {
    if (segment->use != Segment::Use::kFree || segment->bytes < bytes) continue;
    current_ = segment.get();
    current_->use = Segment::Use::kCurrent;
    position_ = 0;
    break;
  }
  return *current_;
}

absl::Status Journal::Write(GroupWriter& group) {
  GroupHeader header;
  File* file;
  uint64_t position;
  {
    absl::MutexLock lock(&mutex_);
    Segment& segment = PlaceFor(group.aligned_bytes());
    header = {
        .journal_id = journal_id_, .sequence = next_, .previous = written_, .durable = durable_};
    file = segment.file.get();
    position = position_;
    // Taken before the write: a write that fails may leave anything there.
    position_ += group.aligned_bytes();
    segment.last_sequence = next_;
    written_ = next_++;
    marked_ = durable_;
  }
  APPENDFS_RETURN_IF_ERROR(file->WriteDurably(position, group.Finish(header)));
  absl::MutexLock lock(&mutex_);
  durable_ = header.sequence;
  return absl::OkStatus();
}

absl::Status Journal::WriteMark() {
  GroupWriter mark;
  GroupHeader header;
  File* file;
  uint64_t position;
  {
    absl::MutexLock lock(&mutex_);
    const uint64_t bytes = mark.aligned_bytes();
    if (!MarkIsDue() || (current_->bytes - position_ < bytes && LargestFree() < bytes))
      return absl::OkStatus();
    Segment& segment = PlaceFor(bytes);
    // No sequence of its own: a mark that is lost leaves no gap.
    header = {
        .journal_id = journal_id_, .sequence = written_, .previous = written_, .durable = durable_};
    segment.last_sequence = written_;
    file = segment.file.get();
    position = position_;
    position_ += bytes;
    marked_ = durable_;
  }
  return file->WriteDurably(position, mark.Finish(header));
}

bool Journal::MarkIsDue() const {
  return current_ != nullptr && marked_ != durable_ && durable_ == written_;
}

bool Journal::WantsMark() const {
  absl::MutexLock lock(&mutex_);
  return MarkIsDue();
}

uint64_t Journal::written() const {
  absl::MutexLock lock(&mutex_);
  return written_;
}

uint64_t Journal::durable() const {
  absl::MutexLock lock(&mutex_);
  return durable_;
}

bool Journal::WantsSegment() const {
  absl::MutexLock lock(&mutex_);
  return LargestFree() < requested_ && MayGrow();
}

void Journal::Request(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  requested_ = std::max(requested_, bytes);
}

absl::Status Journal::MakeSegment() {
  auto segment = std::make_unique<Segment>();
  {
    absl::MutexLock lock(&mutex_);
    segment->path = StrCat(directory_, "/", layout::SegmentName(next_number_++));
    segment->bytes = segments_.empty() && requested_ <= options_.first_segment_bytes
                         ? std::min(options_.first_segment_bytes, options_.segment_bytes)
                         : options_.segment_bytes;
  }
  absl::Status status = MakeFile(*segment);
  absl::MutexLock lock(&mutex_);
  growth_failed_ = !status.ok();
  if (status.ok()) segments_.push_back(std::move(segment));
  return status;
}

absl::Status Journal::MakeFile(Segment& segment) {
  constexpr uint64_t kPartBytes = 1 << 20;
  const std::string temporary = StrCat(segment.path, ".tmp");
  APPENDFS_ASSIGN_OR_RETURN(segment.file, fs_.Open(temporary, FileSystem::OpenMode::kCreateOrOpen));
  const std::string zeros(std::min(kPartBytes, segment.bytes), '\0');
  absl::Status status;
  for (uint64_t at = 0; at < segment.bytes && status.ok(); at += zeros.size())
    status = segment.file->Write(at, std::string_view(zeros).substr(
                                         0, std::min<uint64_t>(zeros.size(), segment.bytes - at)));
  if (status.ok()) status = segment.file->Sync();
  if (status.ok()) status = fs_.Rename(temporary, segment.path);
  if (status.ok()) status = fs_.SyncDirectory(directory_);
  if (status.ok()) {
    // By the name it has now, for the messages.
    auto file = fs_.Open(segment.path, FileSystem::OpenMode::kReadWrite);
    status = file.status();
    if (file.ok()) segment.file = *std::move(file);
  }
  if (!status.ok()) fs_.Remove(temporary).IgnoreError();  // the first error is the one to tell
  return status;
}

void Journal::Trim(uint64_t first_live) {
  absl::MutexLock lock(&mutex_);
  for (const auto& segment : segments_)
    if (segment->use == Segment::Use::kLive && segment->last_sequence < first_live)
      segment->use = Segment::Use::kFree;
}

uint64_t Journal::live_bytes() const {
  absl::MutexLock lock(&mutex_);
  uint64_t bytes = current_ ? position_ : 0;
  for (const auto& segment : segments_)
    if (segment->use == Segment::Use::kLive) bytes += segment->bytes;
  return bytes;
}

bool Journal::full() const {
  absl::MutexLock lock(&mutex_);
  return LargestFree() < requested_ && (growth_failed_ || !MayGrow());
}

}  // namespace appendfs
