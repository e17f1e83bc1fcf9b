#pragma once

#include <memory>

#include "common/file_system.h"

namespace appendfs {

// The file system of master and chunkserver: the real one; or, in a build with
// -Dpower_loss=true, one that loses on kill -9 what a power failure may lose
// (lossy_file_system.h). Such a build is for tests.
std::unique_ptr<FileSystem> MakeServerFileSystem();

}  // namespace appendfs
