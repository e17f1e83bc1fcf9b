#include "common/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

#include "common/rpc/status.h"

namespace appendfs {
namespace {

std::vector<Reason> AllReasons() {
  std::vector<Reason> reasons;
  const auto* descriptor = v1::Reason_descriptor();
  for (int i = 0; i < descriptor->value_count(); ++i) {
    auto reason = static_cast<Reason>(descriptor->value(i)->number());
    if (reason != v1::REASON_UNSPECIFIED) reasons.push_back(reason);
  }
  return reasons;
}

TEST(Status, EveryReason_HasARowOfItsOwn) {
  std::set<std::string_view> names;
  for (Reason reason : AllReasons()) {
    EXPECT_NE(ReasonName(reason), ReasonName(v1::REASON_UNSPECIFIED)) << v1::Reason_Name(reason);
    EXPECT_TRUE(names.insert(ReasonName(reason)).second) << ReasonName(reason);
    EXPECT_NE(ToErrno(reason), 0);
    EXPECT_NE(ToCode(reason), absl::StatusCode::kOk);
  }
}

TEST(Status, EveryReason_SurvivesProto) {
  for (Reason reason : AllReasons()) {
    absl::Status status = FromProto(ToProto(MakeError(reason, "thing: why")));
    EXPECT_EQ(ReasonOf(status), reason);
    EXPECT_EQ(status.message(), "thing: why");
  }
}

TEST(Status, EveryReason_SurvivesGrpc) {
  for (Reason reason : AllReasons()) {
    grpc::Status wire = ToGrpc(MakeError(reason, "thing: why"));
    EXPECT_FALSE(wire.ok());
    EXPECT_EQ(static_cast<int>(wire.error_code()), static_cast<int>(ToCode(reason)));
    absl::Status status = FromGrpc(wire, "master");
    EXPECT_EQ(ReasonOf(status), reason);
    EXPECT_EQ(status.message(), "thing: why");
  }
}

TEST(Status, Ok_SurvivesGrpc) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK, "master").ok());
  EXPECT_EQ(ToErrno(absl::OkStatus()), 0);
  EXPECT_FALSE(HasReason(absl::OkStatus(), v1::REASON_UNSPECIFIED));
}

TEST(Status, GrpcWithoutDetails_ReasonOfCode_NamesPeer) {
  absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "no route"), "master 1.2.3.4:9400");
  EXPECT_EQ(ReasonOf(status), v1::UNREACHABLE);
  EXPECT_EQ(status.message(), "master 1.2.3.4:9400: no route");
  EXPECT_TRUE(IsTransient(status));
  EXPECT_EQ(ReasonOf(FromGrpc(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "late"), "cs")),
            v1::TIMED_OUT);
}

TEST(Status, GrpcWithForeignDetails_ReasonOfCode) {
  absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "x", "\xff\xff not an Error"), "cs");
  EXPECT_EQ(ReasonOf(status), v1::UNREACHABLE);
}

TEST(Status, UnknownReasonOfNewerPeer_IsAnError) {
  v1::Error error;
  error.set_reason(static_cast<Reason>(4711));
  absl::Status status = FromProto(error);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(ToErrno(status), EIO);
}

TEST(Status, Errno_AsPosixSays) {
  EXPECT_EQ(ToErrno(v1::NO_ENTRY), ENOENT);
  EXPECT_EQ(ToErrno(v1::EOF_MISMATCH), EPERM);
  EXPECT_EQ(ToErrno(v1::DIRECTORY_NOT_EMPTY), ENOTEMPTY);
  EXPECT_EQ(ToErrno(v1::NO_SPACE), ENOSPC);
  EXPECT_EQ(ToErrno(v1::INTERRUPTED), EINTR);
  EXPECT_EQ(ToErrno(v1::NOT_SUPPORTED), EOPNOTSUPP);
  EXPECT_EQ(ToErrno(v1::IN_DOUBT), EIO);
}

TEST(Status, ErrnoError_NamesCallThingAndReason) {
  absl::Status status = ErrnoError("open", "/x", ENOENT);
  EXPECT_EQ(status.message(), "open /x: No such file or directory");
  EXPECT_EQ(ReasonOf(status), v1::NO_ENTRY);
  EXPECT_EQ(ReasonOf(ErrnoError("write", "/x", ENOSPC)), v1::NO_SPACE);
  EXPECT_EQ(ReasonOf(ErrnoError("write", "/x", EDQUOT)), v1::NO_SPACE);
  EXPECT_EQ(ReasonOf(ErrnoError("open", "/x", EPERM)), v1::NOT_PERMITTED);
  EXPECT_EQ(ReasonOf(ErrnoError("sync", "/x", EIO)), v1::INPUT_OUTPUT);
  EXPECT_EQ(ReasonOf(ErrnoError("x", "/x", EXDEV)), v1::INPUT_OUTPUT);
}

TEST(Status, WithErrnoOf_KeepsReasonAndMessage) {
  absl::Status status = WithErrnoOf(v1::NO_SPACE, MakeError(v1::IN_DOUBT, "may be there"));
  EXPECT_EQ(ToErrno(status), ENOSPC);
  EXPECT_EQ(ReasonOf(status), v1::IN_DOUBT);
  EXPECT_EQ(status.message(), "may be there");
  EXPECT_EQ(ToErrno(MakeError(v1::IN_DOUBT, "may be there")), EIO);
}

TEST(Status, Transient_OnlyWeather) {
  EXPECT_TRUE(IsTransient(MakeError(v1::NOT_READY, "")));
  EXPECT_TRUE(IsTransient(MakeError(v1::QUORUM_LOST, "")));
  EXPECT_FALSE(IsTransient(MakeError(v1::NO_ENTRY, "")));
  EXPECT_FALSE(IsTransient(absl::OkStatus()));
}

TEST(Status, Macros_ReturnTheFirstError) {
  auto number = [](bool good) -> absl::StatusOr<int> {
    if (good) return 7;
    return MakeError(v1::INVALID, "bad");
  };
  auto twice = [&](bool first, bool second) -> absl::StatusOr<int> {
    APPENDFS_ASSIGN_OR_RETURN(int a, number(first));
    APPENDFS_RETURN_IF_ERROR(number(second).status());
    return 2 * a;
  };
  EXPECT_EQ(twice(true, true).value(), 14);
  EXPECT_EQ(ReasonOf(twice(false, true).status()), v1::INVALID);
  EXPECT_EQ(ReasonOf(twice(true, false).status()), v1::INVALID);
}

}  // namespace
}  // namespace appendfs
