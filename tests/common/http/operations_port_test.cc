#include "common/http/operations_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/http/families.h"
#include "common/str_cat.h"
#include "httplib.h"
#include "prometheus/collectable.h"

namespace appendfs {
namespace {

using testing::HasSubstr;

class OneGauge final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    return {GaugeFamily("appendfs_test_lines", "Lines of a test.", 42)};
  }
};

class OperationsPortTest : public testing::Test {
 protected:
  OperationsPort::Parts Parts() {
    return {"1.2.3", [this] { return ready_; }, {std::make_shared<OneGauge>()}};
  }
  httplib::Result Get(int port, const std::string& path) {
    return httplib::Client("127.0.0.1", port).Get(path.c_str());
  }

  absl::Status ready_;
};

TEST_F(OperationsPortTest, Metrics_AreOursAndTheProcesss) {
  auto port = OperationsPort::Start("127.0.0.1:0", "127.0.0.1:1", Parts());
  ASSERT_TRUE(port.ok()) << port.status();
  const httplib::Result answer = Get((*port)->port(), "/metrics");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_THAT(answer->get_header_value("Content-Type"), HasSubstr("version=0.0.4"));
  EXPECT_THAT(answer->body, HasSubstr("# TYPE appendfs_test_lines gauge\nappendfs_test_lines 42"));
  EXPECT_THAT(answer->body, HasSubstr("appendfs_build_info{version=\"1.2.3\"} 1"));
  EXPECT_THAT(answer->body, HasSubstr("# TYPE process_cpu_seconds_total counter"));
  EXPECT_THAT(answer->body, HasSubstr("process_open_fds "));
}

TEST_F(OperationsPortTest, NotReady_Answers503AndWhy) {
  auto port = OperationsPort::Start("127.0.0.1:0", "", Parts());
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_EQ(Get((*port)->port(), "/readyz")->status, 200);
  ready_ = MakeError(v1::NOT_READY, "the tide is out");
  const httplib::Result answer = Get((*port)->port(), "/readyz");
  EXPECT_EQ(answer->status, 503);
  EXPECT_THAT(answer->body, HasSubstr("the tide is out"));
  EXPECT_EQ(Get((*port)->port(), "/healthz")->status, 200) << "it answers";
  EXPECT_EQ(Get((*port)->port(), "/nothing")->status, 404);
}

TEST_F(OperationsPortTest, PortIsTaken_IsAnErrorIfItWasAskedForByName) {
  auto first = OperationsPort::Start("127.0.0.1:0", "", Parts());
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string taken = StrCat("127.0.0.1:", (*first)->port());
  auto second = OperationsPort::Start(taken, "", Parts());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(taken));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--http"));

  const std::string before = StrCat("127.0.0.1:", (*first)->port() - 1);
  auto by_default = OperationsPort::Start("", before, Parts());
  ASSERT_TRUE(by_default.ok()) << "clients are served without it: " << by_default.status();
  EXPECT_EQ(*by_default, nullptr);
}

TEST_F(OperationsPortTest, NotWanted_IsNone) {
  auto port = OperationsPort::Start("none", "127.0.0.1:0", Parts());
  ASSERT_TRUE(port.ok());
  EXPECT_EQ(*port, nullptr);
}

TEST_F(OperationsPortTest, NoAddress_IsNamed) {
  for (const char* bad : {"9401", "localhost:", "localhost:http", "localhost:70000", "[::1:9401"}) {
    auto port = OperationsPort::Start(bad, "", Parts());
    EXPECT_THAT(std::string(port.status().message()), HasSubstr(bad));
  }
}

}  // namespace
}  // namespace appendfs
