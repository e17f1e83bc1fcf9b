#pragma once

#include <vector>

#include "common/ids.h"
#include "master/namespace/operation.h"
#include "proto/meta_log.pb.h"

namespace appendfs {

// Removing a name takes a link from its inode (the name itself is gone
// already, directories.h). An inode without links is purged; a file that is
// open (MetaOp.open_inodes) becomes an orphan instead, purged later.
absl::Status DropLink(Operation& operation, InodeId inode);

// DIRECTORY_NOT_EMPTY unless the directory is empty.
absl::Status CheckEmpty(const v1::InodeRecord& directory);

// The inodes that would be purged, or become orphans, if `op` were applied to
// `tables` now: whoever fills in MetaOp.open_inodes asks about these.
absl::StatusOr<std::vector<InodeId>> InodesLosingLastName(const v1::MetaOp& op,
                                                          const KeyValueReader& tables);

// Removes the extended attributes of an inode that is purged (xattrs.cc).
absl::Status DiscardXattrs(Operation& operation, const v1::InodeRecord& record);

// Makes a chunk garbage: no file refers to it any more, but servers hold it.
// Its records are gone afterwards.
void DiscardChunk(Operation& operation, const v1::Chunk& chunk);

}  // namespace appendfs
