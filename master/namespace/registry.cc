// Who takes part: clients, chunkservers and masters, and the numbers given out.

#include "master/layout.h"
#include "master/namespace/mutations.h"
#include "master/namespace/operation.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

constexpr uint32_t kMaxReservation = 1u << 20;

}  // namespace

absl::Status ApplyOpenSession(const v1::OpenSessionOp& request, Operation& operation) {
  APPENDFS_ASSIGN_OR_RETURN(uint64_t client,
                            TakeNumbers(operation.tables, layout::kNextClientKey, 1));
  v1::SessionRecord record;
  record.set_description(request.description());
  record.set_opened_ns(operation.now_ns());
  PutRecord(operation.tables, Table::kSessions, layout::IdKey(ClientId(client)), record);
  operation.result.set_id(client);
  return absl::OkStatus();
}

absl::Status ApplyEndSessions(const v1::EndSessionsOp& request, Operation& operation) {
  for (uint64_t number : request.client_ids())
    APPENDFS_RETURN_IF_ERROR(ForgetClient(operation.tables, ClientId(number)));
  return absl::OkStatus();
}

absl::Status ApplyStartMaster(Operation& operation) {
  APPENDFS_ASSIGN_OR_RETURN(uint64_t before,
                            TakeNumbers(operation.tables, layout::kIncarnationKey, 1));
  operation.result.set_id(before + 1);
  return absl::OkStatus();
}

absl::Status ApplyAddServer(const v1::AddServerOp& request, Operation& operation) {
  if (request.address().empty()) return MakeError(v1::INVALID, "a server without an address");
  uint64_t server = request.server_id();
  APPENDFS_ASSIGN_OR_RETURN(uint64_t next, GetNumber(operation.tables, layout::kNextServerKey));
  if (server == 0) server = next;
  if (server >= next) PutNumber(operation.tables, layout::kNextServerKey, server + 1);
  v1::ServerRecord record;
  record.set_address(request.address());
  PutRecord(operation.tables, Table::kServers, layout::IdKey(ServerId(server)), record);
  operation.result.set_id(server);
  return absl::OkStatus();
}

absl::Status ApplyReserveHandles(const v1::ReserveHandlesOp& request, Operation& operation) {
  if (request.count() == 0 || request.count() > kMaxReservation)
    return MakeError(v1::INVALID, StrCat("a reservation of ", request.count(), " handles"));
  APPENDFS_ASSIGN_OR_RETURN(uint64_t first,
                            TakeNumbers(operation.tables, layout::kNextHandleKey, request.count()));
  operation.result.set_id(first);
  return absl::OkStatus();
}

}  // namespace appendfs
