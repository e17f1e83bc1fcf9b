#pragma once

#include <string>
#include <vector>

namespace appendfs {

// `appendfs-chunkserver --check DIR...`: verifies data directories that no
// server uses, and explains on standard output what each of their files is and
// what is wrong with it. The exit code: 0 all is well, 1 something is damaged,
// 3 a directory cannot be checked (the reason goes to standard error).
int CheckProgram(const std::string& program, const std::vector<std::string>& directories);

}  // namespace appendfs
