#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"
#include "common/status.h"
#include "master/kv.h"
#include "proto/master.pb.h"
#include "proto/meta_log.pb.h"

namespace appendfs {

// What the namespace answers without changing anything. Every function reads
// one view of the tables and may be called from any thread. Chunks come as the
// tables hold them: replicas are server ids without addresses.
//
// Errors: NO_ENTRY names the inode or name; NOT_DIRECTORY; INVALID;
// NAME_TOO_LONG; INPUT_OUTPUT if the tables cannot be read.

absl::StatusOr<v1::Entry> Lookup(const KeyValueReader& tables, InodeId parent,
                                 std::string_view name);
absl::StatusOr<v1::Entry> GetEntry(const KeyValueReader& tables, InodeId inode);
absl::StatusOr<std::string> ReadLinkTarget(const KeyValueReader& tables, InodeId inode);

// Extended attributes. NO_ATTRIBUTE if there is none of that name; names rise.
absl::StatusOr<std::string> GetXattr(const KeyValueReader& tables, InodeId inode,
                                     std::string_view name);
absl::StatusOr<std::vector<std::string>> ListXattrs(const KeyValueReader& tables, InodeId inode);

// At most `limit` entries (0, or more than kMaxPage: kMaxPage) with names
// greater than `after`. Entries added or removed between two pages do not move
// the others.
inline constexpr uint32_t kMaxPage = 4096;
absl::StatusOr<v1::ReadDirectoryResponse> ReadDirectoryPage(
    const KeyValueReader& tables, const v1::ReadDirectoryRequest& request);

// A regular file's attributes and its chunks from `from_index` on.
absl::StatusOr<v1::FilePlan> GetPlan(const KeyValueReader& tables, InodeId inode,
                                     uint32_t from_index);

// The inode an absolute path means; symlinks are not followed.
absl::StatusOr<InodeId> ResolvePath(const KeyValueReader& tables, std::string_view path);

// nullopt if no file has the chunk, or there is no such inode.
absl::StatusOr<std::optional<v1::ChunkRecord>> GetChunk(const KeyValueReader& tables,
                                                        ChunkHandle handle);
absl::StatusOr<std::optional<v1::InodeRecord>> FindInode(const KeyValueReader& tables,
                                                         InodeId inode);
// Every chunk that a file has, in no useful order, until `visit` says false.
absl::Status ScanChunks(const KeyValueReader& tables,
                        const std::function<bool(const v1::ChunkRecord&)>& visit);

absl::StatusOr<uint64_t> CountInodes(const KeyValueReader& tables);

}  // namespace appendfs
