#include "tests/master/tiny_namespace.h"

namespace appendfs {
namespace {

TEST(Mutation, SentAgain_GetsItsFirstAnswer_AndChangesNothing) {
  TinyNamespace ns;
  v1::MetaOp make = ns.MakeOp(kRoot, "f");
  v1::MetaResult first = ns.Run(make);
  v1::MetaResult again = ns.Run(make);
  ASSERT_EQ(first.changed_size(), 1);  // the directory, as it was then
  EXPECT_EQ(first.changed(0).attributes().sealed_bytes(), 1u);
  first.clear_changed();
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());

  v1::MetaOp rename = ns.RenameOp(kRoot, "f", kRoot, "g");
  ASSERT_FALSE(ns.Run(rename).has_error());
  EXPECT_EQ(ns.ReasonRun(ns.RenameOp(kRoot, "f", kRoot, "g")), v1::NO_ENTRY);
  EXPECT_FALSE(ns.Run(rename).has_error());

  v1::MetaOp unlink = ns.UnlinkOp(kRoot, "g");
  uint64_t inode = ns.Run(unlink).unlink().inode();
  ns.Make(kRoot, "g");
  EXPECT_EQ(ns.Run(unlink).unlink().inode(), inode);
  EXPECT_NE(ns.Find(kRoot, "g"), 0u);  // made since: not the unlink's business
}

TEST(Mutation, Refused_IsJudgedAnew_WhenItIsSentAgain) {
  TinyNamespace ns;
  ns.Make(kRoot, "f");
  v1::MetaOp make = ns.MakeOp(kRoot, "f");
  EXPECT_EQ(ns.ReasonRun(make), v1::ENTRY_EXISTS);
  ns.Run(ns.UnlinkOp(kRoot, "f"));
  EXPECT_EQ(ns.ReasonRun(make), v1::REASON_UNSPECIFIED);
}

TEST(Mutation, Answers_AreForgottenOnceConfirmed_AndThenRefused) {
  TinyNamespace ns;
  v1::MetaOp first = ns.MakeOp(kRoot, "first");
  ns.Run(first);
  for (int i = 0; i < 500; ++i) ns.Make(kRoot, "f" + std::to_string(i));
  EXPECT_LT(ns.CountPairs(Table::kResults), 100);
  EXPECT_EQ(ns.ReasonRun(first), v1::SEQUENCE_FORGOTTEN);
}

TEST(Mutation, UnconfirmedAnswers_AreKept) {
  TinyNamespace ns;
  v1::MetaOp first = ns.MakeOp(kRoot, "first");
  ns.Run(first);
  uint64_t unanswered = first.make_node().mutation().sequence();
  for (int i = 0; i < 300; ++i) {
    v1::MetaOp op = ns.MakeOp(kRoot, "f" + std::to_string(i));
    op.mutable_make_node()->mutable_mutation()->set_answered_below(unanswered);
    ASSERT_FALSE(ns.Run(op).has_error());
  }
  EXPECT_EQ(ns.CountPairs(Table::kResults), 301);
  EXPECT_FALSE(ns.Run(first).has_error());
}

TEST(Mutation, WithoutSessionOrSequence_IsRefused) {
  TinyNamespace ns;
  v1::MetaOp op = ns.MakeOp(kRoot, "f");
  v1::MutationId& mutation = *op.mutable_make_node()->mutable_mutation();
  mutation.set_client_id(999);
  EXPECT_EQ(ns.ReasonRun(op), v1::SESSION_EXPIRED);
  mutation.set_client_id(ns.client());
  mutation.set_answered_below(mutation.sequence() + 1);
  EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
  mutation.clear_sequence();
  mutation.clear_answered_below();
  EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
}

TEST(EndSessions, Client_IsForgottenWithItsAnswers) {
  TinyNamespace ns;
  for (int i = 0; i < 200; ++i) ns.Make(kRoot, "f" + std::to_string(i));
  v1::MetaOp end;
  end.mutable_end_sessions()->add_client_ids(ns.client());
  end.mutable_end_sessions()->add_client_ids(12345);
  ASSERT_FALSE(ns.Run(end).has_error());
  EXPECT_EQ(ns.CountPairs(Table::kResults), 0);
  EXPECT_EQ(ns.CountPairs(Table::kSessions), 0);
  EXPECT_EQ(ns.ReasonRun(ns.MakeOp(kRoot, "g")), v1::SESSION_EXPIRED);
  v1::MetaOp open;
  open.mutable_open_session();
  EXPECT_GT(ns.Run(open).id(), ns.client());
}

TEST(Registry, Numbers_AreGivenOutOnce) {
  TinyNamespace ns;
  EXPECT_EQ(ns.Reserve(10), 1u);
  EXPECT_EQ(ns.Reserve(1), 11u);
  v1::MetaOp op;
  op.mutable_reserve_handles()->set_count(0);
  EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
  op.Clear();
  op.mutable_start_master();
  EXPECT_EQ(ns.Run(op).id(), 1u);
  EXPECT_EQ(ns.Run(op).id(), 2u);
  op.Clear();
  EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
  op.mutable_add_server()->set_address("a:1");
  EXPECT_EQ(ns.Run(op).id(), 1u);
  EXPECT_EQ(ns.Run(op).id(), 2u);
  op.mutable_add_server()->set_server_id(7);
  EXPECT_EQ(ns.Run(op).id(), 7u);
  op.mutable_add_server()->set_server_id(0);
  EXPECT_EQ(ns.Run(op).id(), 8u);
  op.mutable_add_server()->set_address("");
  EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
}

}  // namespace
}  // namespace appendfs
