#include "chunkserver/engine/control.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "chunkserver/engine/ordered_length.h"
#include "common/str_cat.h"
#include "common/wait.h"

namespace appendfs {
namespace {

CreateCommand ToCommand(const v1::CreateChunksRequest::Item& item) {
  CreateCommand command;
  command.replica.identity = {ChunkHandle(item.handle()), InodeId(item.inode()), item.base_offset(),
                              item.capacity()};
  command.replica.epoch = Epoch(item.epoch());
  command.replica.mtime_ns = item.mtime_ns();
  command.replica.memory = item.memory();
  for (const v1::ServerAddress& member : item.members())
    command.members.push_back({ServerId(member.server_id()), member.address()});
  command.primary = ServerId(item.primary_id());
  return command;
}

absl::Status Check(const CreateCommand& command, ServerId self) {
  auto is = [](ServerId id) {
    return [id](const MemberAddress& member) { return member.id == id; };
  };
  const ReplicaIdentity& identity = command.replica.identity;
  if (!identity.handle || !identity.inode || !command.replica.epoch || identity.capacity == 0)
    return MakeError(v1::INVALID, "a chunk needs a handle, an inode, an epoch and a capacity");
  if (command.members.size() < kWriteQuorum ||
      std::none_of(command.members.begin(), command.members.end(), is(self)) ||
      std::none_of(command.members.begin(), command.members.end(), is(command.primary)))
    return MakeError(v1::INVALID, StrCat("chunk=", identity.handle, " needs at least ",
                                         kWriteQuorum, " members, with this server ", self,
                                         " and the primary ", command.primary, " among them"));
  return absl::OkStatus();
}

ConformCommand ToCommand(const v1::ConformRequest::Item& item, ServerId self) {
  ConformCommand command;
  command.identity = {ChunkHandle(item.handle()), InodeId(item.inode()), item.base_offset(), 0};
  command.epoch = Epoch(item.epoch());
  command.length = item.length();
  for (const v1::ServerAddress& source : item.sources())
    if (ServerId(source.server_id()) != self && !source.address().empty())
      command.sources.push_back(source.address());
  command.memory = item.memory();
  command.mtime_ns = item.mtime_ns();
  command.seal = item.seal();
  command.check_crc = item.check_crc();
  command.crc32c = item.crc32c();
  return command;
}

}  // namespace

Control::Control(Engine& engine, ChunkStore& store, Conformer& conformer, Membership& membership)
    : engine_(engine), store_(store), conformer_(conformer), membership_(membership) {}

absl::Status Control::CreateChunks(const v1::CreateChunksRequest& request,
                                   v1::CreateChunksResponse& response) {
  APPENDFS_RETURN_IF_ERROR(membership_.CheckCommand(request.origin()));
  const ServerId self = membership_.self().server;
  std::vector<absl::Status> statuses(request.items_size());
  CountDown done(request.items_size());
  for (int i = 0; i < request.items_size(); ++i) {
    CreateCommand command = ToCommand(request.items(i));
    if (statuses[i] = Check(command, self); !statuses[i].ok()) {
      done.Count();
      continue;
    }
    engine_.Create(std::move(command), [&statuses, &done, i](absl::Status status) {
      statuses[i] = std::move(status);
      done.Count();
    });
  }
  done.Wait();
  for (const absl::Status& status : statuses) {
    v1::CreateChunksResponse::Item* item = response.add_items();
    if (!status.ok()) *item->mutable_error() = ToProto(status);
  }
  return absl::OkStatus();
}

absl::Status Control::Fence(const v1::FenceRequest& request, v1::FenceResponse& response) {
  APPENDFS_RETURN_IF_ERROR(membership_.CheckCommand(request.origin()));
  std::vector<absl::StatusOr<ReplicaState>> states(request.items_size());
  CountDown done(request.items_size());
  for (int i = 0; i < request.items_size(); ++i) {
    const v1::FenceRequest::Item& item = request.items(i);
    engine_.Fence(ChunkHandle(item.handle()), Epoch(item.epoch()),
                  [&states, &done, i](absl::StatusOr<ReplicaState> state) {
                    states[i] = std::move(state);
                    done.Count();
                  });
  }
  done.Wait();
  for (int i = 0; i < request.items_size(); ++i) {
    v1::FenceResponse::Item& item = *response.add_items();
    AnswerFence(states[i], item);
    LOG(INFO) << "chunk=" << request.items(i).handle() << " epoch=" << request.items(i).epoch()
              << " fence: "
              << (item.has_error() ? item.error().message()
                                   : StrCat("stands at ", item.durable_length()));
  }
  return absl::OkStatus();
}

void Control::AnswerFence(const absl::StatusOr<ReplicaState>& state,
                          v1::FenceResponse::Item& item) {
  if (!state.ok()) {
    *item.mutable_error() = ToProto(state.status());
    return;
  }
  const uint64_t length = state->sealed ? state->durable_length : OrderedLength(*state);
  absl::StatusOr<uint32_t> crc = store_.PrefixCrc32c(state->identity.handle, length);
  if (!crc.ok()) {
    *item.mutable_error() = ToProto(crc.status());
    return;
  }
  item.set_durable_length(length);
  *item.mutable_memory() = state->memory;
  item.set_mtime_ns(state->mtime_ns);
  item.set_sealed(state->sealed);
  item.set_crc32c(*crc);
}

absl::Status Control::OpenChunks(const v1::OpenChunksRequest& request,
                                 v1::OpenChunksResponse& response) {
  APPENDFS_RETURN_IF_ERROR(membership_.CheckOrder(request.origin()));
  std::vector<absl::Status> statuses(request.items_size());
  CountDown done(request.items_size());
  for (int i = 0; i < request.items_size(); ++i) {
    const v1::OpenChunksRequest::Item& item = request.items(i);
    OpenCommand command{
        ChunkHandle(item.handle()), Epoch(item.epoch()), item.length(), item.mtime_ns(), {},
        ServerId(item.primary_id())};
    for (const v1::ServerAddress& member : item.members())
      command.members.push_back({ServerId(member.server_id()), member.address()});
    engine_.Open(std::move(command), [&statuses, &done, i](absl::Status status) {
      statuses[i] = std::move(status);
      done.Count();
    });
  }
  done.Wait();
  for (const absl::Status& status : statuses) {
    v1::OpenChunksResponse::Item* item = response.add_items();
    if (!status.ok()) *item->mutable_error() = ToProto(status);
  }
  return absl::OkStatus();
}

absl::Status Control::Conform(const v1::ConformRequest& request, v1::ConformResponse& response) {
  APPENDFS_RETURN_IF_ERROR(membership_.CheckOrder(request.origin()));
  const ServerId self = membership_.self().server;
  for (const v1::ConformRequest::Item& wanted : request.items()) {
    v1::ConformResponse::Item& item = *response.add_items();
    absl::StatusOr<uint32_t> crc = conformer_.Conform(ToCommand(wanted, self));
    if (crc.ok()) {
      item.set_crc32c(*crc);
    } else {
      LOG(WARNING) << "chunk=" << wanted.handle() << " epoch=" << wanted.epoch()
                   << " cannot conform to " << wanted.length() << " bytes: " << crc.status();
      *item.mutable_error() = ToProto(crc.status());
    }
  }
  return absl::OkStatus();
}

absl::Status Control::DeleteChunks(const v1::DeleteChunksRequest& request,
                                   v1::DeleteChunksResponse& response) {
  APPENDFS_RETURN_IF_ERROR(membership_.CheckCommand(request.origin()));
  std::vector<absl::Status> statuses(request.handles_size());
  CountDown done(request.handles_size());
  for (int i = 0; i < request.handles_size(); ++i)
    engine_.Delete(ChunkHandle(request.handles(i)), [&statuses, &done, i](absl::Status status) {
      statuses[i] = std::move(status);
      done.Count();
    });
  done.Wait();
  for (const absl::Status& status : statuses) {
    v1::DeleteChunksResponse::Item* item = response.add_items();
    if (!status.ok()) *item->mutable_error() = ToProto(status);
  }
  return absl::OkStatus();
}

absl::Status Control::Inspect(const v1::InspectRequest& request, v1::InspectResponse& response) {
  for (uint64_t handle : request.handles()) {
    v1::InspectResponse::Item& item = *response.add_items();
    absl::StatusOr<ReplicaSummary> summary = engine_.Inspect(ChunkHandle(handle));
    if (!summary.ok()) {
      *item.mutable_error() = ToProto(summary.status());
      continue;
    }
    item.set_epoch(summary->state.epoch.value());
    item.set_durable_length(summary->state.durable_length);
    item.set_committed_length(summary->state.committed_length);
    item.set_sealed(summary->state.sealed);
    item.set_damaged(summary->state.damaged);
    item.set_primary(summary->primary);
  }
  return absl::OkStatus();
}

}  // namespace appendfs
