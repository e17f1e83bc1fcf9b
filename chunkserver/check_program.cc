#include "chunkserver/check_program.h"

#include <signal.h>

#include <algorithm>
#include <iostream>

#include "chunkserver/store/check_directory.h"
#include "chunkserver/store/explain_directory.h"
#include "common/program.h"
#include "common/str_cat.h"

namespace appendfs {

namespace {

constexpr int kGood = 0, kDamaged = 1, kUnchecked = 3;

// The exit code; `identity`: whose directory it is.
int CheckOne(FileSystem& fs, const std::string& program, const std::string& directory,
             StoreIdentity& identity) {
  absl::StatusOr<DirectoryCheck> check = CheckDirectory(fs, directory);
  absl::StatusOr<std::vector<FileExplanation>> files;
  if (check.ok()) files = ExplainDirectory(fs, directory);
  if (!check.ok() || !files.ok()) {
    const absl::Status why = check.ok() ? files.status() : check.status();
    PrintError(program, std::string(why.message()));
    return kUnchecked;
  }
  identity = check->identity;
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
  return good ? kGood : kDamaged;
}

}  // namespace

int CheckProgram(const std::string& program, const std::vector<std::string>& directories) {
  // It may be interrupted, unlike a server it has nothing to complete.
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const std::unique_ptr<FileSystem> fs = MakePosixFileSystem();
  int worst = kGood;
  StoreIdentity first;
  for (const std::string& directory : directories) {
    StoreIdentity identity;
    worst = std::max(worst, CheckOne(*fs, program, directory, identity));
    if (!identity.server) continue;
    if (!first.server) first = identity;
    if (identity.server == first.server && identity.cluster_uuid == first.cluster_uuid) continue;
    std::cout << "PROBLEM " << directory << " is of another server or cluster than the first\n";
    worst = std::max(worst, kDamaged);
  }
  return worst;
}

}  // namespace appendfs
