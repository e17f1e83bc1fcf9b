#include "common/lossy_file_system.h"
#include "common/server_file_system.h"

namespace appendfs {

std::unique_ptr<FileSystem> MakeServerFileSystem() {
  return std::make_unique<LossyFileSystem>(MakePosixFileSystem());
}

}  // namespace appendfs
