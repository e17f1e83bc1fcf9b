#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/appendfs.h"

namespace appendfs::fuse {

// What a file's read-only attributes say, for people and scripts:
//
//   appendfs.id        "<cluster uuid>:<inode>": one file for ever, whatever its name
//   appendfs.length    durable bytes
//   appendfs.chunks    a line per chunk: index, handle, epoch, state, where it begins, bytes
//   appendfs.replicas  a line per chunk: index, then where its replicas are; "server=N" for
//                      one whose server is not connected
//   appendfs.health    "ok"; "degraded": of some chunk fewer than three replicas can be
//                      reached; "unavailable": of some chunk none
//
// A directory has an id and nothing else. Lists that would be longer than an
// attribute may be leave out the first chunks, and say so in their first line.
inline constexpr std::string_view kDescriptionPrefix = "appendfs.";

// NO_ATTRIBUTE if there is none of that name. `status` and `chunks` as of now.
absl::StatusOr<std::string> DescribeFile(std::string_view name, const FileStatus& status,
                                         std::string_view cluster_uuid,
                                         const std::vector<v1::Chunk>& chunks);

}  // namespace appendfs::fuse
