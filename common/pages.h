#pragma once

#include <cstddef>
#include <memory>

namespace appendfs {

inline constexpr size_t kPageBytes = 4096;

// Memory that begins with a page, so that a disk can take it from where it is
// (O_DIRECT) instead of from a copy. Blocks about as large as the largest batch
// are kept for reuse, up to 16 MiB per process: the kernel would have to find
// and clear their pages anew for each. Safe to call and to release from any thread.
std::shared_ptr<char[]> AllocatePages(size_t bytes);

}  // namespace appendfs
