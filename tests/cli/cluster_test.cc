#include "cli/cluster/cluster.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/cluster/mounts.h"
#include "cli/cluster/ports.h"
#include "cli/cluster/programs.h"
#include "cli/cluster_verbs.h"

namespace appendfs::cli {
namespace {

class ClusterDirectory : public ::testing::Test {
 protected:
  ClusterDirectory() {
    char name[] = "/tmp/appendfs-cluster-test-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~ClusterDirectory() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

ClusterLayout Example() {
  ClusterLayout layout;
  layout.processes.push_back({"master", "master", "127.0.0.1:9400", "/d/master", {"--x"}, 12, 34});
  layout.processes.push_back({"cs1", "chunkserver", "127.0.0.1:9410", "/d/cs1", {}, 0, 0});
  return layout;
}

TEST_F(ClusterDirectory, Layout_SavedAndLoaded_IsTheSame) {
  ASSERT_TRUE(SaveLayout(dir_, Example()).ok());
  absl::StatusOr<ClusterLayout> loaded = LoadLayout(dir_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(ToText(*loaded), ToText(Example()));
  EXPECT_EQ(loaded->Names(), "master, cs1");
  EXPECT_EQ(loaded->Find("cs1")->address, "127.0.0.1:9410");
  EXPECT_EQ(loaded->Find("cs2"), nullptr);
}

TEST_F(ClusterDirectory, Layout_Missing_SaysHowToMakeOne) {
  absl::Status status = LoadLayout(dir_).status();
  EXPECT_TRUE(HasReason(status, v1::NO_ENTRY));
  EXPECT_NE(status.ToString().find("appendfs cluster start --dir " + dir_), std::string::npos);
}

TEST(ClusterLayoutText, Malformed_IsInvalidAndNamesTheFile) {
  for (const char* text :
       {"", "[]", "{}", R"({"format": 2, "processes": []})", R"({"format": 1})",
        R"({"format": 1, "processes": [{}]})", R"({"format": 1, "processes": [{"name": 5}]})"}) {
    absl::Status status = ParseLayout(text, "/d/cluster.json").status();
    EXPECT_TRUE(HasReason(status, v1::INVALID)) << text;
    EXPECT_NE(status.ToString().find("/d/cluster.json"), std::string::npos) << text;
  }
}

TEST(ClusterLayoutText, NameTwice_IsInvalid) {
  ClusterLayout layout = Example();
  layout.processes.push_back(layout.processes.back());
  EXPECT_TRUE(HasReason(ParseLayout(ToText(layout), "x").status(), v1::INVALID));
}

TEST_F(ClusterDirectory, Plan_New_HasMasterServersAndMounts) {
  absl::StatusOr<ClusterLayout> plan =
      PlanCluster({}, dir_,
                  {.mounts = {dir_ + "/m1", dir_ + "/m2", dir_ + "/m1/"},
                   .mount_options = "ro",
                   .port = 0,
                   .chunk_bytes = 4096});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->Names(), "master, cs1, cs2, cs3, mount1, mount2");
  EXPECT_EQ(plan->Find("master")->options, (std::vector<std::string>{"--chunk-bytes", "4096"}));
  EXPECT_EQ(plan->Find("mount1")->options, (std::vector<std::string>{"-o", "ro"}));
  std::set<std::string> addresses;
  for (const ClusterProcess& process : plan->processes)
    if (process.role != "mount") addresses.insert(process.address);
  EXPECT_EQ(addresses.size(), 4u);
}

TEST_F(ClusterDirectory, Plan_Existing_KeepsPortsAndAddsWhatIsAskedFor) {
  absl::StatusOr<ClusterLayout> old = PlanCluster({}, dir_, {.chunkservers = 2, .port = 0});
  ASSERT_TRUE(old.ok());
  absl::StatusOr<ClusterLayout> plan =
      PlanCluster(*old, dir_, {.chunkservers = 3, .mounts = {dir_ + "/m"}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->Names(), "master, cs1, cs2, cs3, mount1");
  EXPECT_EQ(plan->Find("cs2")->address, old->Find("cs2")->address);
  EXPECT_TRUE(HasReason(PlanCluster(*plan, dir_, {.chunkservers = 2}).status(), v1::INVALID));
  EXPECT_TRUE(HasReason(PlanCluster(*plan, dir_, {.chunk_bytes = 1}).status(), v1::INVALID));
  EXPECT_EQ(PlanCluster(*plan, dir_, {})->Names(), plan->Names());
}

TEST_F(ClusterDirectory, Lock_HeldByAnother_IsNotReady) {
  absl::StatusOr<Cluster> first = Cluster::Lock(dir_, true, std::chrono::milliseconds(0));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(
      HasReason(Cluster::Lock(dir_, true, std::chrono::milliseconds(20)).status(), v1::NOT_READY));
}

TEST_F(ClusterDirectory, Lock_NoCluster_IsNoEntry) {
  EXPECT_TRUE(
      HasReason(Cluster::Lock(dir_, false, std::chrono::milliseconds(0)).status(), v1::NO_ENTRY));
}

TEST(ClusterPorts, Wanted_Taken_GivesAnotherOne) {
  absl::StatusOr<std::vector<int>> free = ChoosePorts(0, 3);
  ASSERT_TRUE(free.ok());
  EXPECT_EQ(std::set<int>(free->begin(), free->end()).size(), 3u);
  EXPECT_TRUE(PortIsFree((*free)[0]));
}

TEST(ClusterProcesses, ProcStat_NameWithParentheses_IsSkipped) {
  char state = 0;
  uint64_t start = 0;
  EXPECT_TRUE(ParseProcStat("71 (a) b (c)) S 1 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8123 9",
                            state, start));
  EXPECT_EQ(state, 'S');
  EXPECT_EQ(start, 8123u);
  EXPECT_FALSE(ParseProcStat("71 (a) S 1 2", state, start));
  EXPECT_FALSE(ParseProcStat("", state, start));
}

TEST_F(ClusterDirectory, Spawn_Process_IsDetachedAndCanBePausedAndKilled) {
  absl::StatusOr<ProcessIdentity> process =
      Spawn({"/bin/sh", "-c", "echo started; exec sleep 1000"}, dir_ + "/log");
  ASSERT_TRUE(process.ok()) << process.status();
  auto bound = std::chrono::seconds(10);
  EXPECT_TRUE(WaitUntil([&] { return TailOfFile(dir_ + "/log", 1) == "started"; }, bound));
  EXPECT_EQ(getsid(process->pid), process->pid);
  ASSERT_TRUE(SendSignal(*process, SIGSTOP).ok());
  EXPECT_TRUE(WaitUntil([&] { return StateOf(*process) == ProcessState::kPaused; }, bound));
  ASSERT_TRUE(SendSignal(*process, SIGKILL).ok());
  EXPECT_TRUE(WaitUntil([&] { return StateOf(*process) == ProcessState::kGone; }, bound));
  EXPECT_TRUE(HasReason(SendSignal(*process, SIGKILL), v1::NO_ENTRY));
}

TEST(ClusterProcesses, RecycledPid_IsNeverSignalled) {
  ProcessIdentity impostor{getpid(), 1};
  EXPECT_EQ(StateOf(impostor), ProcessState::kGone);
  EXPECT_TRUE(HasReason(SendSignal(impostor, SIGKILL), v1::NO_ENTRY));
}

TEST_F(ClusterDirectory, Spawn_MissingProgram_IsAnError) {
  EXPECT_TRUE(HasReason(Spawn({dir_ + "/none"}, dir_ + "/log").status(), v1::NO_ENTRY));
}

TEST_F(ClusterDirectory, TailOfFile_MoreLinesThanAsked_GivesTheLast) {
  std::ofstream(dir_ + "/log") << "1\n2\n3\n\n";
  EXPECT_EQ(TailOfFile(dir_ + "/log", 2), "2\n3");
  EXPECT_EQ(TailOfFile(dir_ + "/log", 9), "1\n2\n3");
  EXPECT_EQ(TailOfFile(dir_ + "/none", 9), "");
}

TEST(ClusterMounts, MountInfo_FuseAndOthers_AreToldApart) {
  constexpr char kText[] =
      "25 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n"
      "90 25 0:50 / /mnt/my\\040logs rw,nosuid shared:7 - fuse.appendfs 127.0.0.1:9400 rw\n"
      "91 25 0:51 / /tmp/x rw - tmpfs tmpfs rw\n";
  EXPECT_TRUE(HasFuseMount(kText, "/mnt/my logs"));
  EXPECT_FALSE(HasFuseMount(kText, "/mnt"));
  EXPECT_FALSE(HasFuseMount(kText, "/tmp/x"));
  EXPECT_FALSE(HasFuseMount(kText, "/"));
}

TEST_F(ClusterDirectory, MountPoint_FileThere_IsRefused) {
  std::ofstream(dir_ + "/file") << "x";
  EXPECT_FALSE(PrepareMountPoint(dir_ + "/file").ok());
  EXPECT_EQ(*PrepareMountPoint(dir_ + "/new/./deep/"), dir_ + "/new/deep");
}

TEST_F(ClusterDirectory, FindProgram_InstalledTree_IsInSbin) {
  std::filesystem::create_directories(dir_ + "/bin");
  std::filesystem::create_directories(dir_ + "/sbin");
  absl::Status missing = FindProgramFrom(dir_ + "/bin", "appendfs-master").status();
  EXPECT_TRUE(HasReason(missing, v1::NO_ENTRY));
  EXPECT_NE(missing.ToString().find(dir_ + "/sbin/appendfs-master"), std::string::npos);
  std::ofstream(dir_ + "/sbin/appendfs-master") << "#!/bin/sh\n";
  std::filesystem::permissions(dir_ + "/sbin/appendfs-master", std::filesystem::perms::owner_all);
  EXPECT_EQ(*FindProgramFrom(dir_ + "/bin", "appendfs-master"), dir_ + "/sbin/appendfs-master");
}

TEST(ClusterReport, DeadProcess_HasNoPidAndIsUnhealthy) {
  std::ostringstream text;
  Output output{text, true};
  ClusterLayout layout = Example();
  std::vector<ProcessReport> reports{{layout.processes[0], "dead"},
                                     {layout.processes[1], "running"}};
  EXPECT_EQ(PrintCluster("/d", reports, output), ExitCode::kUnhealthy);
  EXPECT_NE(text.str().find("\"pid\": null"), std::string::npos);
  EXPECT_NE(text.str().find("\"log\": \"/d/log/cs1.log\""), std::string::npos);
}

}  // namespace
}  // namespace appendfs::cli
