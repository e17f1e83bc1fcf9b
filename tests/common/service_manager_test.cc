#include "common/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/descriptor.h"
#include "tests/common/temp_dir.h"

namespace appendfs {
namespace {

// A service manager's end of the socket.
class Manager {
 public:
  explicit Manager(std::string name) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = 0;
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
  }
  ~Manager() { unsetenv("NOTIFY_SOCKET"); }
  std::string Heard() const {
    char text[256];
    const ssize_t size = recv(socket_.get(), text, sizeof text, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
  }

 private:
  const Descriptor socket_;
};

TEST(ServiceManagerTest, NobodyAsked_NothingHappens) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(TellServiceManager("READY=1"));
}

TEST(ServiceManagerTest, SocketIsAPath_StateArrives) {
  TempDir dir;
  const Manager manager(dir.path() + "/notify");
  EXPECT_TRUE(TellServiceManager("READY=1\nSTATUS=serving"));
  EXPECT_EQ(manager.Heard(), "READY=1\nSTATUS=serving");
}

TEST(ServiceManagerTest, SocketIsAbstract_StateArrives) {
  const Manager manager("@appendfs-test-" + std::to_string(getpid()));
  EXPECT_TRUE(TellServiceManager("STOPPING=1"));
  EXPECT_EQ(manager.Heard(), "STOPPING=1");
}

TEST(ServiceManagerTest, NobodyListensOrNameIsNone_IsNotTold) {
  for (const char* name : {"/nonexistent/notify", "relative", "@", ""}) {
    setenv("NOTIFY_SOCKET", name, 1);
    EXPECT_FALSE(TellServiceManager("READY=1")) << name;
  }
  unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace appendfs
