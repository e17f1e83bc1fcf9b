// What an operator may force upon a chunk.
#include <glog/logging.h>

#include "common/str_cat.h"
#include "master/chunks/manager.h"

namespace appendfs {
namespace {

std::string Names(const google::protobuf::RepeatedPtrField<v1::ServerAddress>& servers) {
  std::string names;
  for (const v1::ServerAddress& server : servers)
    names += StrCat(names.empty() ? "" : ", ", server.server_id(), " (", server.address(), ")");
  return names.empty() ? "none" : names;
}

}  // namespace

void Manager::ForceSeal(const v1::ForceSealRequest& request, std::string host, ForceDone done) {
  auto answer = [&](absl::StatusOr<v1::ForceSealResponse> with) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    executor_->Post([done = std::move(done), with = std::move(with)]() mutable {
      std::move(done)(std::move(with));
    });
  };
  const ChunkHandle handle(request.handle());
  absl::MutexLock lock(&mutex_);
  OpenChunk* chunk = chunks_.FindOpen(handle);
  if (!chunk || !chunk->recovery || !chunk->recovery->stuck()) {
    std::string_view how = chunks_.FindSealed(handle) ? "is at rest"
                           : !chunk                   ? "is not known"
                           : chunk->recovery          ? "is about to be recovered"
                                                      : "is open";
    return answer(
        MakeError(v1::INVALID, StrCat("chunk ", handle, " ", how, ": there is nothing to force")));
  }
  if (forced_.contains(handle))
    return answer(MakeError(v1::INVALID, StrCat("chunk ", handle, " is being sealed by force")));
  v1::ForceSealResponse response;
  response.set_handle(handle.value());
  response.set_inode(chunk->inode().value());
  response.set_base_offset(chunk->record.base_offset());
  for (const OpenChunk::Member& member : chunk->members)
    *(servers_.IsAlive(member.server) ? response.add_answering() : response.add_missing()) =
        Address(member.server);
  std::string warning =
      StrCat("chunk ", handle, " of inode ", chunk->inode(), ", from offset ",
             chunk->record.base_offset(), " of the file on: ", chunk->recovery->Describe(), ". ");
  if (response.answering().empty())
    warning += StrCat("No member is alive: ALL bytes of the chunk are lost, also if the servers ",
                      Names(response.missing()), " return.");
  else
    warning += StrCat("Sealed now, it ends with what server ", Names(response.answering()),
                      " holds. What was acknowledged and only server ", Names(response.missing()),
                      " hold is LOST, also if they return.");
  response.set_warning(warning);
  if (!request.lose_data()) return answer(std::move(response));

  LOG(WARNING) << "audit: forced seal: chunk=" << handle << " epoch=" << chunk->epoch()
               << " inode=" << chunk->inode() << " by=" << host << ": " << warning;
  forced_.emplace(handle, Forced{std::move(host), std::move(response), std::move(done)});
  chunk->recovery->Force(Now());
  Drive(handle);
}

void Manager::AnswerForced(ChunkHandle handle, const absl::StatusOr<uint64_t>& length) {
  auto found = forced_.find(handle);
  if (found == forced_.end()) return;
  absl::StatusOr<v1::ForceSealResponse> response = std::move(found->second.response);
  ForceDone done = std::move(found->second.done);
  LOG(WARNING) << "audit: forced seal: chunk=" << handle << " by=" << found->second.host
               << (length.ok() ? StrCat(": sealed at ", *length, " bytes")
                               : StrCat(": ", FromAbsl(length.status().message())));
  forced_.erase(found);
  if (length.ok()) {
    response->set_sealed(true);
    response->set_length(*length);
  } else {
    response = length.status();
  }
  executor_->Post([done = std::move(done), response = std::move(response)]() mutable {
    std::move(done)(std::move(response));
  });
}

}  // namespace appendfs
