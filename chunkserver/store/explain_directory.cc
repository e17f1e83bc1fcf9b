#include "chunkserver/store/explain_directory.h"

#include <algorithm>

#include "chunkserver/store/directory_files.h"
#include "chunkserver/store/group.h"
#include "chunkserver/store/layout.h"
#include "chunkserver/store/sidecar.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

class Explainer {
 public:
  Explainer(FileSystem& fs, const std::string& directory) : fs_(fs), directory_(directory) {}

  absl::StatusOr<std::vector<FileExplanation>> Run() {
    APPENDFS_ASSIGN_OR_RETURN(std::vector<std::string> names, List(directory_));
    for (const std::string& name : names) Top(StrCat(directory_, "/", name), name);
    const std::string journal = layout::JournalDirectory(directory_);
    APPENDFS_ASSIGN_OR_RETURN(names, List(journal));
    for (const std::string& name : names) Segment(StrCat(journal, "/", name), name);
    for (uint32_t i = 0; i < layout::kFanOut; ++i) {
      const std::string path = layout::FanOutDirectory(directory_, i);
      APPENDFS_ASSIGN_OR_RETURN(names, List(path));
      for (const std::string& name : names) OfChunk(StrCat(path, "/", name), name);
    }
    return std::move(out_);
  }

 private:
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) {
    APPENDFS_ASSIGN_OR_RETURN(std::vector<std::string> names, fs_.List(path));
    std::sort(names.begin(), names.end());
    return names;
  }
  void Say(const std::string& path, std::string what) { out_.push_back({path, std::move(what)}); }
  void SayBad(const std::string& path, const absl::Status& why) {
    out_.push_back({path, StrCat("BAD: ", FromAbsl(why.message())), false});
  }

  void Top(const std::string& path, const std::string& name) {
    if (path == layout::JournalDirectory(directory_) ||
        path == layout::ChunksDirectory(directory_) || path == layout::LockPath(directory_))
      return;
    if (path == layout::IdentityPath(directory_))
      Identity(path);
    else if (path == layout::CheckpointPath(directory_))
      Checkpoint(path);
    else
      Say(path, name.ends_with(".tmp") ? "unfinished; its server removes or replaces it"
                                       : "not a server's file; left alone");
  }

  void Identity(const std::string& path) {
    absl::StatusOr<std::string> content = ReadWholeFile(fs_, path);
    absl::StatusOr<IdentityFile> file =
        content.ok() ? DecodeIdentity(*content, path) : content.status();
    if (!file.ok()) return SayBad(path, file.status());
    journal_id_ = file->journal_id;
    Say(path, file->identity.server
                  ? StrCat("whose directory this is: cluster ", file->identity.cluster_uuid,
                           ", server ", file->identity.server)
                  : "whose directory this is: nobody's yet, its server has not met a master");
  }

  void Checkpoint(const std::string& path) {
    absl::StatusOr<std::string> content = ReadWholeFile(fs_, path);
    absl::StatusOr<CheckpointFile> file =
        content.ok() ? DecodeCheckpoint(*content, path) : content.status();
    if (!file.ok()) return SayBad(path, file.status());
    Say(path, StrCat("the journal counts from group ", file->first_live_group,
                     "; highest chunk ever held ", file->highest_handle, "; ",
                     file->deleted.handles().size(), " deleted chunks remembered"));
  }

  void Segment(const std::string& path, const std::string& name) {
    if (!layout::ParseSegmentName(name)) return Say(path, "unfinished; removed at the next start");
    absl::StatusOr<std::string> content = ReadWholeFile(fs_, path);
    if (!content.ok()) return SayBad(path, content.status());
    uint64_t groups = 0, first = 0, last = 0;
    const std::string_view all = *content;
    for (uint64_t at = 0; at + GroupHeader::kBytes <= all.size(); at += layout::kGroupAlignment) {
      auto header = GroupHeader::Decode(all.substr(at, GroupHeader::kBytes));
      if (!header || header->journal_id != journal_id_ || header->records == 0) continue;
      first = groups++ == 0 ? header->sequence : std::min(first, header->sequence);
      last = std::max(last, header->sequence);
    }
    Say(path, groups == 0 ? StrCat("journal segment of ", all.size(), " bytes, not used yet")
                          : StrCat("journal segment of ", all.size(), " bytes with ", groups,
                                   " groups between ", first, " and ", last));
  }

  void OfChunk(const std::string& path, const std::string& name) {
    auto parsed = layout::ParseChunkFileName(name);
    if (!parsed) return Say(path, "not a server's file; left alone");
    switch (parsed->kind) {
      case layout::ChunkFileName::Kind::kUnfinished:
        return Say(path, "unfinished; removed at the next start");
      case layout::ChunkFileName::Kind::kData: return Data(path, parsed->handle);
      case layout::ChunkFileName::Kind::kSidecar: return OfSidecar(path, parsed->handle);
    }
  }

  void Data(const std::string& path, ChunkHandle handle) {
    auto file = fs_.Open(path, FileSystem::OpenMode::kRead);
    absl::StatusOr<uint64_t> size = file.ok() ? (*file)->Size() : file.status();
    if (!size.ok()) return SayBad(path, size.status());
    Say(path, StrCat("chunk=", handle, " raw bytes, ", *size));
  }

  void OfSidecar(const std::string& path, ChunkHandle handle) {
    absl::StatusOr<std::string> content = ReadWholeFile(fs_, path);
    absl::StatusOr<Sidecar> sidecar =
        content.ok() ? DecodeSidecar(*content, path, handle) : content.status();
    if (!sidecar.ok()) return SayBad(path, sidecar.status());
    Say(path,
        StrCat("chunk=", handle, " epoch=", sidecar->epoch, " inode=", sidecar->identity.inode,
               sidecar->sealed ? " sealed" : " open", ", ", sidecar->length, " bytes of which ",
               sidecar->committed_length, " are known to be committed, at file offset ",
               sidecar->identity.base_offset, "; contains journal groups up to ", sidecar->sequence,
               sidecar->damaged ? StrCat("; damaged: ", sidecar->damage) : ""));
  }

  FileSystem& fs_;
  const std::string& directory_;
  uint64_t journal_id_ = 0;
  std::vector<FileExplanation> out_;
};

}  // namespace

absl::StatusOr<std::vector<FileExplanation>> ExplainDirectory(FileSystem& fs,
                                                              const std::string& directory) {
  return Explainer(fs, directory).Run();
}

}  // namespace appendfs
