#include "chunkserver/check_program.h"

#include <signal.h>

#include <iostream>

#include "chunkserver/store/check_directory.h"
#include "chunkserver/store/explain_directory.h"
#include "common/program.h"
#include "common/str_cat.h"

namespace appendfs {

int CheckProgram(const std::string& program, const std::string& directory) {
  // It may be interrupted, unlike a server it has nothing to complete.
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const std::unique_ptr<FileSystem> fs = MakePosixFileSystem();
  absl::StatusOr<DirectoryCheck> check = CheckDirectory(*fs, directory);
  if (!check.ok()) {
    PrintError(program, std::string(check.status().message()));
    return 1;
  }
  absl::StatusOr<std::vector<FileExplanation>> files = ExplainDirectory(*fs, directory);
  if (!files.ok()) {
    PrintError(program, std::string(files.status().message()));
    return 1;
  }
  bool good = check->problems.empty() && check->damaged_replicas == 0;
  for (const FileExplanation& file : *files) {
    std::cout << file.path << ": " << file.what << "\n";
    good = good && file.good;
  }
  for (const std::string& problem : check->problems) std::cout << "PROBLEM " << problem << "\n";
  std::cout << StrCat(directory, ": server ", check->identity.server, ", ", check->replicas,
                      " replicas (", check->damaged_replicas, " damaged), ", check->bytes,
                      " bytes verified, ", check->journal_groups, " journal groups to replay",
                      check->torn_tail ? ", the last one torn and never acknowledged" : "", ": ",
                      good ? "ok" : "DAMAGED")
            << "\n";
  return good ? 0 : 1;
}

}  // namespace appendfs
