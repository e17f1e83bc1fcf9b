#include "cli/admin_verbs.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "cli/admin_client.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/paths.h"
#include "common/chunk_state.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

std::string_view StateName(const v1::ReplicaInfo& replica) {
  if (!replica.reachable()) return "unreachable";
  if (replica.damaged()) return "damaged";
  if (replica.sealed()) return "sealed";
  return replica.primary() ? "primary" : "open";
}

// A chunk's bytes as far as anyone can tell: final, or the longest the
// reachable replicas hold.
uint64_t LengthOf(const v1::ChunkInfo& info) {
  if (info.chunk().state() == v1::SEALED || info.chunk().state() == v1::PARKED)
    return info.chunk().length();
  uint64_t longest = 0;
  for (const v1::ReplicaInfo& replica : info.replicas())
    if (replica.reachable() && !replica.damaged()) longest = std::max(longest, replica.length());
  return longest;
}

uint64_t SizeOf(const v1::GetFileResponse& file) {
  uint64_t size = file.attributes().sealed_bytes();
  for (const v1::ChunkInfo& info : file.chunks())
    if (info.chunk().state() != v1::SEALED) size += LengthOf(info);
  return size;
}

Json ToJson(const v1::ReplicaInfo& replica) {
  return {{"server_id", replica.server_id()}, {"address", replica.address()},
          {"state", StateName(replica)},      {"epoch", replica.epoch()},
          {"length", replica.length()},       {"sealed", replica.sealed()},
          {"damaged", replica.damaged()},     {"reachable", replica.reachable()},
          {"primary", replica.primary()}};
}

Json ToJson(const v1::ChunkInfo& info) {
  const v1::Chunk& chunk = info.chunk();
  Json json{{"index", chunk.index()},        {"handle", chunk.handle()},
            {"epoch", chunk.epoch()},        {"state", NameOf(chunk.state())},
            {"offset", chunk.base_offset()}, {"length", LengthOf(info)},
            {"capacity", chunk.capacity()},  {"primary_id", chunk.primary_id()}};
  if (chunk.state() == v1::SEALED) json["crc32c"] = absl::StrFormat("%08x", chunk.crc32c());
  json["replicas"] = Json::array();
  for (const v1::ReplicaInfo& replica : info.replicas())
    json["replicas"].push_back(ToJson(replica));
  return json;
}

}  // namespace

Json ToJson(const v1::DiskInfo& disk) {
  return {{"directory", disk.directory()},
          {"id", absl::StrFormat("%016x", disk.id())},
          {"chunks", disk.chunks()},
          {"capacity_bytes", disk.capacity_bytes()},
          {"available_bytes", disk.available_bytes()},
          {"failure", disk.failure()}};
}

void PrintServers(const v1::ListServersResponse& servers, Output& output) {
  if (output.json) {
    Json list = Json::array();
    for (const v1::ServerInfo& server : servers.servers()) {
      list.push_back({{"server_id", server.server_id()},
                      {"address", server.address()},
                      {"alive", server.alive()},
                      {"chunks", server.chunks()},
                      {"capacity_bytes", server.capacity_bytes()},
                      {"available_bytes", server.available_bytes()},
                      {"heartbeat_age_ms", server.heartbeat_age_ms()},
                      {"disks", Json::array()}});
      for (const v1::DiskInfo& disk : server.disks()) list.back()["disks"].push_back(ToJson(disk));
    }
    output.out << ToPrettyText(list) << "\n";
    return;
  }
  Table table("rllrrrr");
  table.Add({"ID", "ADDRESS", "STATE", "CHUNKS", "SIZE", "AVAILABLE", "HEARTBEAT"});
  for (const v1::ServerInfo& server : servers.servers()) {
    table.Add({StrCat(server.server_id()), server.address(), server.alive() ? "alive" : "dead",
               StrCat(server.chunks()), HumanBytes(server.capacity_bytes()),
               HumanBytes(server.available_bytes()),
               absl::StrFormat("%.1fs", static_cast<double>(server.heartbeat_age_ms()) / 1000)});
    // One disk that works is the server itself.
    const auto failed = std::count_if(server.disks().begin(), server.disks().end(),
                                      [](const auto& disk) { return !disk.failure().empty(); });
    if (server.disks_size() < 2 && failed == 0) continue;
    for (const v1::DiskInfo& disk : server.disks())
      table.Add({"", PrintableName(disk.directory()), disk.failure().empty() ? "disk" : "failed",
                 StrCat(disk.chunks()), HumanBytes(disk.capacity_bytes()),
                 HumanBytes(disk.available_bytes()), ""});
  }
  output.out << table.Render();
}

void PrintFile(const std::string& path, const v1::GetFileResponse& file, Output& output) {
  const v1::Attributes& attributes = file.attributes();
  if (output.json) {
    Json json;
    AddBytes(json, "path", path);
    json["inode"] = attributes.inode();
    json["type"] = TypeName(attributes.type());
    json["size"] = SizeOf(file);
    json["sealed_bytes"] = attributes.sealed_bytes();
    json["chunks"] = Json::array();
    for (const v1::ChunkInfo& info : file.chunks()) json["chunks"].push_back(ToJson(info));
    output.out << ToPrettyText(json) << "\n";
    return;
  }
  output.out << PrintableName(path) << ": inode " << attributes.inode() << ", "
             << TypeName(attributes.type());
  if (attributes.type() == v1::REGULAR)
    output.out << ", " << SizeOf(file) << " bytes, " << file.chunks_size()
               << (file.chunks_size() == 1 ? " chunk" : " chunks");
  output.out << "\n";
  Table table("rrrlrrllr");
  table.Add(
      {"CHUNK", "HANDLE", "EPOCH", "STATE", "OFFSET", "LENGTH", "REPLICA", "STATE", "LENGTH"});
  for (const v1::ChunkInfo& info : file.chunks()) {
    const v1::Chunk& chunk = info.chunk();
    std::vector<std::string> row{StrCat(chunk.index()),       StrCat(chunk.handle()),
                                 StrCat(chunk.epoch()),       std::string(NameOf(chunk.state())),
                                 StrCat(chunk.base_offset()), StrCat(LengthOf(info))};
    for (const v1::ReplicaInfo& replica : info.replicas()) {
      row.insert(row.end(), {StrCat(replica.server_id(), " ", replica.address()),
                             std::string(StateName(replica)), StrCat(replica.length())});
      table.Add(std::move(row));
      row.assign(6, "");
    }
    if (info.replicas().empty()) {
      row.insert(row.end(), {"none", "", ""});
      table.Add(std::move(row));
    }
  }
  if (file.chunks_size() > 0) output.out << table.Render();
}

void PrintForcedSeal(const v1::ForceSealResponse& seal, Output& output) {
  if (output.json) {
    auto ids = [](const auto& servers) {
      Json list = Json::array();
      for (const v1::ServerAddress& server : servers) list.push_back(server.server_id());
      return list;
    };
    Json json{{"handle", seal.handle()},        {"inode", seal.inode()},
              {"offset", seal.base_offset()},   {"sealed", seal.sealed()},
              {"length", seal.length()},        {"answering", ids(seal.answering())},
              {"missing", ids(seal.missing())}, {"warning", seal.warning()}};
    output.out << ToPrettyText(json) << "\n";
    return;
  }
  output.out << "WARNING: " << seal.warning() << "\n";
  if (seal.sealed())
    output.out << "chunk " << seal.handle() << " is sealed at " << seal.length() << " bytes\n";
  else
    output.out << "nothing is done; to seal it all the same: --yes-lose-data\n";
}

void PrintStatus(const v1::GetStatusResponse& status, Output& output) {
  if (output.json) {
    Json json{{"cluster_uuid", status.cluster_uuid()},
              {"health", status.health()},
              {"reasons", Json::array()},
              {"incarnation", status.incarnation()},
              {"uptime_ms", status.uptime_ms()},
              {"safe_mode", status.safe_mode()},
              {"servers_alive", status.servers_alive()},
              {"servers_known", status.servers_known()},
              {"sessions", status.sessions()},
              {"inodes", status.inodes()},
              {"chunks", status.chunks()},
              {"open_chunks", status.open_chunks()},
              {"recovering_chunks", status.recovering_chunks()},
              {"parked_chunks", status.parked_chunks()},
              {"under_replicated_chunks", status.under_replicated_chunks()},
              {"damaged_replicas", status.damaged_replicas()},
              {"capacity_bytes", status.capacity_bytes()},
              {"available_bytes", status.available_bytes()}};
    for (const std::string& reason : status.reasons()) json["reasons"].push_back(reason);
    output.out << ToPrettyText(json) << "\n";
    return;
  }
  output.out << " health: " << status.health() << "\n";
  for (const std::string& reason : status.reasons()) output.out << "         " << reason << "\n";
  output.out << "cluster: " << status.cluster_uuid() << "\n"
             << " master: incarnation " << status.incarnation() << ", up "
             << status.uptime_ms() / 1000 << " s" << (status.safe_mode() ? ", safe mode" : "")
             << "\n"
             << "servers: " << status.servers_alive() << " of " << status.servers_known()
             << " alive\n"
             << "  space: " << HumanBytes(status.available_bytes()) << " of "
             << HumanBytes(status.capacity_bytes()) << " free\n"
             << "  files: " << status.inodes() << " inodes, " << status.sessions() << " sessions\n"
             << " chunks: " << status.chunks() << ", " << status.open_chunks() << " open, "
             << status.parked_chunks() << " parked, " << status.recovering_chunks()
             << " recovering, " << status.under_replicated_chunks() << " under-replicated, "
             << status.damaged_replicas() << " damaged replicas\n";
}

void AddAdminVerbs(CLI::App& app, Context& context) {
  CLI::App* admin = app.add_subcommand("admin", "See how the cluster is");
  admin->fallthrough();
  admin->require_subcommand(1);

  // Asks, prints, and says the exit code of a good answer.
  auto run = [&context](auto&& ask) {
    absl::StatusOr<ClientOptions> options = context.Options();
    if (!options.ok()) return context.Report(options.status());
    AdminClient client(options->master, options->timeout);
    Output output = context.Stdout();
    absl::StatusOr<ExitCode> code = ask(client, output);
    output.out.flush();
    return code.ok() ? *code : context.Report(code.status());
  };

  AddVerb(*admin, context, "servers", "List the chunkservers", [run] {
    return run([](AdminClient& client, Output& output) -> absl::StatusOr<ExitCode> {
      APPENDFS_ASSIGN_OR_RETURN(auto servers, client.ListServers());
      PrintServers(servers, output);
      return ExitCode::kDone;
    });
  });

  auto path = std::make_shared<std::string>();
  CLI::App* file =
      AddVerb(*admin, context, "file", "Show a file's chunks and replicas", [run, path] {
        return run([path](AdminClient& client, Output& output) -> absl::StatusOr<ExitCode> {
          APPENDFS_ASSIGN_OR_RETURN(std::string normalized, NormalizePath(*path));
          absl::StatusOr<v1::GetFileResponse> found = client.GetFile(normalized);
          if (!found.ok()) return About(*path, found.status());
          PrintFile(normalized, *found, output);
          return ExitCode::kDone;
        });
      });
  file->add_option("PATH", *path, "The file")->required();

  struct Force {
    std::string what;
    bool lose_data = false;
  };
  auto force = std::make_shared<Force>();
  CLI::App* seal = AddVerb(
      *admin, context, "force-seal", "Give up what only lost servers hold of a chunk",
      [run, force] {
        return run([force](AdminClient& client, Output& output) -> absl::StatusOr<ExitCode> {
          v1::ForceSealRequest request;
          uint64_t handle = 0;
          if (absl::SimpleAtoi(force->what, &handle)) {
            request.set_handle(handle);
          } else {
            APPENDFS_ASSIGN_OR_RETURN(*request.mutable_path(), NormalizePath(force->what));
          }
          request.set_lose_data(force->lose_data);
          absl::StatusOr<v1::ForceSealResponse> answer = client.ForceSeal(std::move(request));
          if (!answer.ok()) return About(force->what, answer.status());
          PrintForcedSeal(*answer, output);
          return answer->sealed() ? ExitCode::kDone : ExitCode::kUnhealthy;
        });
      });
  seal->add_option("PATH|HANDLE", force->what, "A file, for its last chunk, or a chunk's handle")
      ->required();
  seal->add_flag("--yes-lose-data", force->lose_data,
                 "Do it; without this only what may be lost is told");

  AddVerb(*admin, context, "status", "Show the cluster's health", [run] {
    return run([](AdminClient& client, Output& output) -> absl::StatusOr<ExitCode> {
      APPENDFS_ASSIGN_OR_RETURN(auto status, client.GetStatus());
      PrintStatus(status, output);
      return status.health() == "ok" ? ExitCode::kDone : ExitCode::kUnhealthy;
    });
  });
}

}  // namespace appendfs::cli
