#pragma once

#include "cli/context.h"
#include "proto/master.pb.h"

namespace appendfs::cli {

// admin servers, admin file, admin status: the cluster as an operator sees it;
// admin force-seal: what only an operator may decide.
void AddAdminVerbs(CLI::App& app, Context& context);

void PrintServers(const v1::ListServersResponse& servers, Output& output);
void PrintFile(const std::string& path, const v1::GetFileResponse& file, Output& output);
void PrintForcedSeal(const v1::ForceSealResponse& seal, Output& output);
void PrintStatus(const v1::GetStatusResponse& status, Output& output);

}  // namespace appendfs::cli
