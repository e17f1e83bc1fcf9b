#include "master/rpc/client_stream.h"

#include <chrono>

#include "common/str_cat.h"

namespace appendfs {

absl::Status ClientStream::OnHello(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::MasterCall>(frame));
  if (!call.has_hello())
    return MakeError(v1::INVALID, "the first message of a client's link is a hello");
  return CheckProtocol(call.hello().version(), "the client");
}

void ClientStream::Send(v1::MasterAnswer answer) {
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
Reply<Response> ClientStream::Answer(uint64_t id, Response* (v1::MasterAnswer::*slot)()) {
  return [self = std::static_pointer_cast<ClientStream>(this->shared_from_this()), id,
          slot](absl::StatusOr<Response> result) {
    v1::MasterAnswer answer;
    answer.set_id(id);
    if (result.ok())
      *(answer.*slot)() = *std::move(result);
    else
      *answer.mutable_error() = ToProto(result.status());
    self->Send(std::move(answer));
  };
}

absl::Status ClientStream::OnMessage(const FrameParser::Frame& frame) {
  using Call = v1::MasterCall;
  using Is = v1::MasterAnswer;
  APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<Call>(frame));
  const uint64_t id = call.id();
  under_way_.fetch_add(1);
  // clang-format off
  switch (call.call_case()) {
    case Call::kOpenSession: calls_.OpenSession(call.open_session(), Answer(id, &Is::mutable_open_session)); break;
    case Call::kKeepAlive: Answer(id, &Is::mutable_keep_alive)(calls_.KeepAlive(call.keep_alive())); break;
    case Call::kCloseSession: calls_.CloseSession(call.close_session(), Answer(id, &Is::mutable_close_session)); break;
    case Call::kLookup: Answer(id, &Is::mutable_entry)(calls_.Lookup(call.lookup())); break;
    case Call::kGetAttributes: Answer(id, &Is::mutable_entry)(calls_.GetAttributes(call.get_attributes())); break;
    case Call::kSetAttributes: calls_.SetAttributes(call.set_attributes(), Answer(id, &Is::mutable_entry)); break;
    case Call::kMakeNode: calls_.MakeNode(call.make_node(), Answer(id, &Is::mutable_make_node)); break;
    case Call::kReadLink: Answer(id, &Is::mutable_read_link)(calls_.ReadLink(call.read_link())); break;
    case Call::kLink: calls_.Link(call.link(), Answer(id, &Is::mutable_entry)); break;
    case Call::kUnlink: calls_.Unlink(call.unlink(), Answer(id, &Is::mutable_unlink)); break;
    case Call::kRename: calls_.Rename(call.rename(), Answer(id, &Is::mutable_rename)); break;
    case Call::kReadDirectory: Answer(id, &Is::mutable_read_directory)(calls_.ReadDirectory(call.read_directory())); break;
    case Call::kStatFs: Answer(id, &Is::mutable_stat_fs)(calls_.StatFs(call.stat_fs())); break;
    case Call::kGetXattr: Answer(id, &Is::mutable_get_xattr)(calls_.GetXattr(call.get_xattr())); break;
    case Call::kListXattrs: Answer(id, &Is::mutable_list_xattrs)(calls_.ListXattrs(call.list_xattrs())); break;
    case Call::kSetXattr: calls_.SetXattr(call.set_xattr(), Answer(id, &Is::mutable_set_xattr)); break;
    case Call::kRemoveXattr: calls_.RemoveXattr(call.remove_xattr(), Answer(id, &Is::mutable_remove_xattr)); break;
    case Call::kOpen: Answer(id, &Is::mutable_plan)(calls_.Open(call.open())); break;
    case Call::kRelease: Answer(id, &Is::mutable_release)(calls_.Release(call.release())); break;
    case Call::kGetPlan: Answer(id, &Is::mutable_plan)(calls_.GetPlan(call.get_plan())); break;
    case Call::kOpenTail: calls_.OpenTail(call.open_tail(), std::chrono::milliseconds(call.patience_ms()), Answer(id, &Is::mutable_open_tail)); break;
    case Call::kReportReplica: Answer(id, &Is::mutable_report_replica)(calls_.ReportReplica(call.report_replica())); break;
    case Call::CALL_NOT_SET: Answer(id, &Is::mutable_entry)(MakeError(v1::INVALID, "a call that this master does not know")); break;
  }
  // clang-format on
  return absl::OkStatus();
}

}  // namespace appendfs
