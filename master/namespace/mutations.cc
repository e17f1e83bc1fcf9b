#include "master/namespace/mutations.h"

#include <string>
#include <vector>

#include "master/layout.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

// Answers are forgotten this many at a time, so that the session's record is
// rarely rewritten.
constexpr uint64_t kForgetAtOnce = 64;

absl::StatusOr<std::optional<v1::SessionRecord>> FindSession(const KeyValueReader& tables,
                                                             ClientId client) {
  return GetRecord<v1::SessionRecord>(tables, Table::kSessions, layout::IdKey(client));
}

// Deletes the client's answers from `from` to before `until`. Scans from where
// the last time ended: what was deleted before is not walked over again.
absl::Status DeleteResults(KeyValueTransaction& tables, ClientId client, uint64_t from,
                           std::optional<uint64_t> until) {
  std::vector<std::string> keys;
  APPENDFS_RETURN_IF_ERROR(tables.Scan(Table::kResults, layout::IdKey(client),
                                       layout::ResultKey(client, from),
                                       [&](std::string_view key, std::string_view) {
                                         if (until && layout::ResultSequence(key) >= until)
                                           return false;
                                         keys.emplace_back(key);
                                         return true;
                                       }));
  for (const std::string& key : keys) tables.Delete(Table::kResults, key);
  return absl::OkStatus();
}

}  // namespace

const v1::MutationId* MutationOf(const v1::MetaOp& op) {
  switch (op.op_case()) {
    case v1::MetaOp::kMakeNode: return &op.make_node().mutation();
    case v1::MetaOp::kSetAttributes: return &op.set_attributes().mutation();
    case v1::MetaOp::kLink: return &op.link().mutation();
    case v1::MetaOp::kUnlink: return &op.unlink().mutation();
    case v1::MetaOp::kRename: return &op.rename().mutation();
    case v1::MetaOp::kSetXattr: return &op.set_xattr().mutation();
    case v1::MetaOp::kRemoveXattr: return &op.remove_xattr().mutation();
    default: return nullptr;
  }
}

absl::StatusOr<std::optional<v1::MetaResult>> FindResult(const KeyValueReader& tables,
                                                         const v1::MutationId& mutation) {
  ClientId client(mutation.client_id());
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::SessionRecord> session, FindSession(tables, client));
  if (!session)
    return MakeError(v1::SESSION_EXPIRED,
                     StrCat("client ", client, " has no session: open a new one"));
  if (mutation.sequence() == 0 || mutation.answered_below() > mutation.sequence())
    return MakeError(v1::INVALID, StrCat("client ", client, ": mutation ", mutation.sequence(),
                                         " with answers below ", mutation.answered_below()));
  if (mutation.sequence() < session->forgotten_below())
    return MakeError(v1::SEQUENCE_FORGOTTEN, StrCat("client ", client, ": mutation ",
                                                    mutation.sequence(), " was answered before"));
  return GetRecord<v1::MetaResult>(tables, Table::kResults,
                                   layout::ResultKey(client, mutation.sequence()));
}

absl::Status KeepResult(KeyValueTransaction& tables, const v1::MutationId& mutation,
                        const v1::MetaResult& result) {
  ClientId client(mutation.client_id());
  v1::MetaResult kept = result;
  kept.clear_garbage();  // In the garbage table, from now on.
  PutRecord(tables, Table::kResults, layout::ResultKey(client, mutation.sequence()), kept);

  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::SessionRecord> session, FindSession(tables, client));
  uint64_t answered = mutation.answered_below();
  if (!session || answered < session->forgotten_below() + kForgetAtOnce) return absl::OkStatus();
  APPENDFS_RETURN_IF_ERROR(DeleteResults(tables, client, session->forgotten_below(), answered));
  session->set_forgotten_below(answered);
  PutRecord(tables, Table::kSessions, layout::IdKey(client), *session);
  return absl::OkStatus();
}

absl::Status ForgetClient(KeyValueTransaction& tables, ClientId client) {
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::SessionRecord> session, FindSession(tables, client));
  if (!session) return absl::OkStatus();
  tables.Delete(Table::kSessions, layout::IdKey(client));
  return DeleteResults(tables, client, session->forgotten_below(), std::nullopt);
}

}  // namespace appendfs
