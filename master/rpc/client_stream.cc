#include "master/rpc/client_stream.h"

#include <chrono>
#include <vector>

#include "common/str_cat.h"

namespace appendfs {
namespace {

// Shorter than the lease that is waited for, lest a clock that runs slow believe too long.
constexpr auto kWatchedMs =
    std::chrono::duration_cast<std::chrono::milliseconds>(Watches::kLease * 9 / 10).count();

}  // namespace

absl::Status ClientStream::OnHello(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::MasterCall>(frame));
  if (!call.has_hello())
    return MakeError(v1::INVALID, "the first message of a client's link is a hello");
  APPENDFS_RETURN_IF_ERROR(CheckProtocol(call.hello().version(), "the client"));
  watcher_ = watches_.Join(Self());
  return absl::OkStatus();
}

void ClientStream::OnEnded() {
  if (watcher_ != 0) watches_.Leave(watcher_);
}

void ClientStream::Tell(const WatchTable::Telling& telling) {
  replies().AddAlone([&](auto& parcel) {
    v1::Changed& changed = *parcel.header.mutable_changed();
    changed.set_number(telling.number);
    for (InodeId inode : telling.inodes) changed.add_inodes(inode.value());
  });
}

void ClientStream::Answer(v1::MasterAnswer answer) {
  if (const size_t bytes = answer.ByteSizeLong(); bytes > kMaxFrameHeaderBytes) {
    *answer.mutable_error() =
        ToProto(MakeError(v1::TOO_LARGE, StrCat("an answer of ", bytes, " bytes")));
    answer.clear_answer();
  }
  replies().AddAlone([&](auto& parcel) { parcel.header = std::move(answer); });
  under_way_.fetch_sub(1);
  Pump();
}

template <class Response>
Reply<Response> ClientStream::Answer(Asked asked, Response* (v1::MasterAnswer::*slot)()) {
  return [self = Self(), asked, slot](absl::StatusOr<Response> result) {
    v1::MasterAnswer answer;
    answer.set_id(asked.id);
    if (asked.watched) answer.set_watched_ms(kWatchedMs);
    if (result.ok())
      *(answer.*slot)() = *std::move(result);
    else
      *answer.mutable_error() = ToProto(result.status());
    self->Answer(std::move(answer));
  };
}

template <class Response, class Inodes>
Reply<Response> ClientStream::AnswerChange(Asked asked, Response* (v1::MasterAnswer::*slot)(),
                                           Inodes inodes) {
  return [self = Self(), inodes,
          answer = Answer(asked, slot)](absl::StatusOr<Response> result) mutable {
    if (!result.ok()) return std::move(answer)(std::move(result));
    const std::vector<InodeId> changed = inodes(*result);
    self->watches_.Change(changed, self->watcher_,
                          [answer = std::move(answer), result = std::move(result)]() mutable {
                            std::move(answer)(std::move(result));
                          });
  };
}

absl::Status ClientStream::OnMessage(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::MasterCall>(frame));
  if (call.call_case() == v1::MasterCall::kHeard) {
    watches_.Heard(watcher_, call.heard());
    return absl::OkStatus();
  }
  under_way_.fetch_add(1);
  Run({call.id(), call.watch() && watches_.Renew(watcher_)}, call);
  return absl::OkStatus();
}

// Reads come after what they are about is watched; what only the answer names
// is watched, and read again.
absl::StatusOr<v1::Entry> ClientStream::Lookup(Asked& asked, const v1::LookupRequest& request) {
  if (!asked.watched) return calls_.Lookup(request);
  watches_.Watch(watcher_, {InodeId(request.parent())});
  absl::StatusOr<v1::Entry> found = calls_.Lookup(request);
  if (!found.ok()) return found;
  watches_.Watch(watcher_, {InodeId(found->attributes().inode())});
  v1::GetAttributesRequest again;
  again.set_client_id(request.client_id());
  again.set_inode(found->attributes().inode());
  absl::StatusOr<v1::Entry> entry = calls_.GetAttributes(again);
  asked.watched = entry.ok();
  return entry.ok() ? entry : found;
}

absl::StatusOr<v1::ReadDirectoryResponse> ClientStream::ReadDirectory(
    Asked& asked, const v1::ReadDirectoryRequest& request) {
  if (!asked.watched || !request.with_entries()) return calls_.ReadDirectory(request);
  v1::ReadDirectoryRequest names = request;
  names.set_with_entries(false);
  watches_.Watch(watcher_, {InodeId(request.inode())});
  APPENDFS_ASSIGN_OR_RETURN(const v1::ReadDirectoryResponse first, calls_.ReadDirectory(names));
  std::vector<InodeId> inodes;
  for (const v1::DirectoryEntry& entry : first.entries()) inodes.emplace_back(entry.inode());
  watches_.Watch(watcher_, inodes);
  APPENDFS_ASSIGN_OR_RETURN(v1::ReadDirectoryResponse page, calls_.ReadDirectory(request));
  asked.watched = page.entries_size() == first.entries_size();
  for (int i = 0; asked.watched && i < page.entries_size(); ++i)
    asked.watched = page.entries(i).inode() == first.entries(i).inode();
  return page;
}

void ClientStream::MakeNode(Asked asked, const v1::MakeNodeRequest& request) {
  auto changed = [self = Self(), asked,
                  parent = InodeId(request.parent())](const v1::MakeNodeResponse& made) {
    if (!made.created()) return std::vector<InodeId>();
    // Whatever changes it comes later in the log, and is told of later.
    if (asked.watched)
      self->watches_.Watch(self->watcher_, {InodeId(made.entry().attributes().inode())});
    return std::vector<InodeId>{parent};
  };
  calls_.MakeNode(request, AnswerChange(asked, &v1::MasterAnswer::mutable_make_node, changed));
}

void ClientStream::Rename(Asked asked, const v1::RenameRequest& request) {
  auto changed = [from = InodeId(request.parent()),
                  to = InodeId(request.new_parent())](const v1::RenameResponse& renamed) {
    return std::vector<InodeId>{from, to, InodeId(renamed.inode()),
                                InodeId(renamed.replaced_inode())};
  };
  calls_.Rename(request, AnswerChange(asked, &v1::MasterAnswer::mutable_rename, changed));
}

void ClientStream::Run(Asked asked, const v1::MasterCall& call) {
  using Call = v1::MasterCall;
  using Is = v1::MasterAnswer;
  auto of = [](uint64_t inode) {
    return [inode](const auto&) { return std::vector<InodeId>{InodeId(inode)}; };
  };
  // clang-format off
  switch (call.call_case()) {
    case Call::kOpenSession: return calls_.OpenSession(call.open_session(), Answer(asked, &Is::mutable_open_session));
    case Call::kKeepAlive: return Answer(asked, &Is::mutable_keep_alive)(calls_.KeepAlive(call.keep_alive()));
    case Call::kCloseSession: return calls_.CloseSession(call.close_session(), Answer(asked, &Is::mutable_close_session));
    case Call::kLookup: {
      absl::StatusOr<v1::Entry> entry = Lookup(asked, call.lookup());
      return Answer(asked, &Is::mutable_entry)(std::move(entry));
    }
    case Call::kGetAttributes:
      if (asked.watched) watches_.Watch(watcher_, {InodeId(call.get_attributes().inode())});
      return Answer(asked, &Is::mutable_entry)(calls_.GetAttributes(call.get_attributes()));
    case Call::kSetAttributes: return calls_.SetAttributes(call.set_attributes(), AnswerChange(asked, &Is::mutable_entry, of(call.set_attributes().inode())));
    case Call::kMakeNode: return MakeNode(asked, call.make_node());
    case Call::kReadLink: return Answer(asked, &Is::mutable_read_link)(calls_.ReadLink(call.read_link()));
    case Call::kLink: return calls_.Link(call.link(), AnswerChange(asked, &Is::mutable_entry, [parent = call.link().parent(), inode = call.link().inode()](const auto&) { return std::vector<InodeId>{InodeId(parent), InodeId(inode)}; }));
    case Call::kUnlink: return calls_.Unlink(call.unlink(), AnswerChange(asked, &Is::mutable_unlink, [parent = call.unlink().parent()](const v1::UnlinkResponse& gone) { return std::vector<InodeId>{InodeId(parent), InodeId(gone.inode())}; }));
    case Call::kRename: return Rename(asked, call.rename());
    case Call::kReadDirectory: {
      absl::StatusOr<v1::ReadDirectoryResponse> page = ReadDirectory(asked, call.read_directory());
      return Answer(asked, &Is::mutable_read_directory)(std::move(page));
    }
    case Call::kStatFs: return Answer(asked, &Is::mutable_stat_fs)(calls_.StatFs(call.stat_fs()));
    case Call::kGetXattr: return Answer(asked, &Is::mutable_get_xattr)(calls_.GetXattr(call.get_xattr()));
    case Call::kListXattrs: return Answer(asked, &Is::mutable_list_xattrs)(calls_.ListXattrs(call.list_xattrs()));
    case Call::kSetXattr: return calls_.SetXattr(call.set_xattr(), AnswerChange(asked, &Is::mutable_set_xattr, of(call.set_xattr().inode())));
    case Call::kRemoveXattr: return calls_.RemoveXattr(call.remove_xattr(), AnswerChange(asked, &Is::mutable_remove_xattr, of(call.remove_xattr().inode())));
    case Call::kOpen: return Answer(asked, &Is::mutable_plan)(calls_.Open(call.open()));
    case Call::kRelease: return Answer(asked, &Is::mutable_release)(calls_.Release(call.release()));
    case Call::kGetPlan: return Answer(asked, &Is::mutable_plan)(calls_.GetPlan(call.get_plan()));
    case Call::kOpenTail: return OpenTail(asked, call);
    case Call::kReportReplica: return Answer(asked, &Is::mutable_report_replica)(calls_.ReportReplica(call.report_replica()));
    case Call::kHeard:
    case Call::CALL_NOT_SET: return Answer(asked, &Is::mutable_entry)(MakeError(v1::INVALID, "a call that this master does not know"));
  }
  // clang-format on
}

// From here on the file may grow without the master: nobody may believe a size
// that it told before, the caller neither.
void ClientStream::OpenTail(Asked asked, const v1::MasterCall& call) {
  calls_.OpenTail(call.open_tail(), std::chrono::milliseconds(call.patience_ms()),
                  [self = Self(), inode = InodeId(call.open_tail().inode()),
                   answer = Answer(asked, &v1::MasterAnswer::mutable_open_tail)](
                      absl::StatusOr<v1::OpenTailResponse> tail) mutable {
                    if (!tail.ok()) return std::move(answer)(std::move(tail));
                    self->watches_.Change(
                        {inode}, 0, [answer = std::move(answer), tail = std::move(tail)]() mutable {
                          std::move(answer)(std::move(tail));
                        });
                  });
}

}  // namespace appendfs
