#include "common/server_file_system.h"

namespace appendfs {

std::unique_ptr<FileSystem> MakeServerFileSystem() { return MakePosixFileSystem(); }

}  // namespace appendfs
