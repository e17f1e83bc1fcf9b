#pragma once

#include <string>

namespace appendfs {

// `appendfs-chunkserver --check DIR`: verifies a data directory that no server
// uses, and explains on standard output what each of its files is and what is
// wrong with it. The exit code: 0 all is well, 1 something is damaged, or the
// directory cannot be checked (the reason goes to standard error).
int CheckProgram(const std::string& program, const std::string& directory);

}  // namespace appendfs
