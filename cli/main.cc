// `appendfs`: the command for people and scripts. Verbs by group in *_verbs.cc.

#include <iostream>

#include "cli/admin_verbs.h"
#include "cli/append_verb.h"
#include "cli/cluster_verbs.h"
#include "cli/context.h"
#include "cli/list_verbs.h"
#include "cli/mount_verbs.h"
#include "cli/name_verbs.h"
#include "cli/tail_verb.h"
#include "cli/transfer_verbs.h"
#include "common/program.h"

int main(int argc, char** argv) {
  using namespace appendfs;
  std::ios::sync_with_stdio(false);
  Program program("appendfs",
                  "Work with an AppendFS cluster: files, administration, and whole "
                  "clusters on one machine",
                  ProgramKind::kTool);
  cli::Context context;
  program.Add("--master", context.master, "Where the master is, HOST:PORT");
  program.Add("--timeout", context.timeout, "No call waits longer: 30s, 500ms, 2m");
  program.AddFlag("--json", context.json, "Print JSON");
  program.app().require_subcommand(1);
  cli::AddListVerbs(program.app(), context);
  cli::AddTransferVerbs(program.app(), context);
  cli::AddAppendVerb(program.app(), context);
  cli::AddTailVerb(program.app(), context);
  cli::AddNameVerbs(program.app(), context);
  cli::AddMountVerbs(program.app(), context);
  cli::AddAdminVerbs(program.app(), context);
  cli::AddClusterVerbs(program.app(), context);
  if (int code = program.Parse(argc, argv); code >= 0) return code;
  return static_cast<int>(context.action());
}
