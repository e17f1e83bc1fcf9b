#include "common/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "tests/common/temp_dir.h"

namespace appendfs {
namespace {

using testing::HasSubstr;

// What a program ended with; each runs in a process of its own, because
// logging and signal masks are the process's.
struct Ended {
  int code = -1;
  std::string output, errors;
};

std::string Slurp(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class ProgramTest : public testing::Test {
 protected:
  struct Values {
    std::string data_dir = "default";
    int count = 1;
    bool verbose = false;
  };

  // Runs a program with these arguments; `body` gives its exit code.
  Ended Run(std::vector<std::string> arguments, std::function<int(Program&, const Values&)> body,
            ProgramKind kind = ProgramKind::kServer) {
    const std::string output = dir_ / "out", errors = dir_ / "err";
    pid_t child = ::fork();
    if (child == 0) {
      if (!std::freopen(output.c_str(), "w", stdout) || !std::freopen(errors.c_str(), "w", stderr))
        ::_exit(99);
      Values values;
      Program program("appendfs-test", "Is tested", kind);
      program.Add("--data-dir", values.data_dir, "Where");
      program.Add("-c,--count", values.count, "How many");
      program.AddFlag("--verbose", values.verbose, "Say more");
      arguments.insert(arguments.begin(), "appendfs-test");
      std::vector<char*> argv;
      for (auto& argument : arguments) argv.push_back(argument.data());
      int code = program.Parse(static_cast<int>(argv.size()), argv.data());
      if (code < 0) code = body(program, values);
      std::fflush(nullptr);
      ::_exit(code);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), Slurp(output),
            Slurp(errors)};
  }

  std::string Config(const std::string& text) {
    std::ofstream(dir_ / "conf") << text;
    return dir_ / "conf";
  }

  ~ProgramTest() override {
    ::unsetenv("APPENDFS_DATA_DIR");
    ::unsetenv("APPENDFS_COUNT");
    ::unsetenv("APPENDFS_VERBOSE");
    ::unsetenv("APPENDFS_CONFIG");
  }

  TempDir dir_;
};

TEST(Program, EnvironmentName_OfAnyFlag) {
  EXPECT_EQ(Program::EnvironmentName("--data-dir"), "APPENDFS_DATA_DIR");
  EXPECT_EQ(Program::EnvironmentName("-c,--count"), "APPENDFS_COUNT");
  EXPECT_EQ(Program::EnvironmentName("master"), "APPENDFS_MASTER");
}

TEST_F(ProgramTest, NothingGiven_Defaults) {
  Ended ended = Run({}, [](Program&, const Values& values) {
    return values.data_dir == "default" && values.count == 1 && !values.verbose ? 0 : 1;
  });
  EXPECT_EQ(ended.code, 0) << ended.errors;
}

TEST_F(ProgramTest, Flag_Environment_Config_SameNames) {
  auto is_set = [](Program&, const Values& values) {
    return values.data_dir == "/d" && values.count == 5 && values.verbose ? 0 : 1;
  };
  EXPECT_EQ(Run({"--data-dir", "/d", "-c", "5", "--verbose"}, is_set).code, 0);
  EXPECT_EQ(
      Run({"--config", Config("data-dir = \"/d\"\ncount = 5\nverbose = true\n")}, is_set).code, 0);
  ::setenv("APPENDFS_DATA_DIR", "/d", 1);
  ::setenv("APPENDFS_COUNT", "5", 1);
  ::setenv("APPENDFS_VERBOSE", "true", 1);
  EXPECT_EQ(Run({}, is_set).code, 0);
}

TEST_F(ProgramTest, Precedence_FlagOverEnvironmentOverConfig) {
  const std::string config = Config("data-dir = \"config\"\ncount = 3\n");
  ::setenv("APPENDFS_DATA_DIR", "environment", 1);
  Ended ended = Run({"--config", config}, [](Program&, const Values& values) {
    return values.data_dir == "environment" && values.count == 3 ? 0 : 1;
  });
  EXPECT_EQ(ended.code, 0) << ended.errors;
  ended = Run({"--config", config, "--data-dir", "flag"},
              [](Program&, const Values& values) { return values.data_dir == "flag" ? 0 : 1; });
  EXPECT_EQ(ended.code, 0) << ended.errors;
}

TEST_F(ProgramTest, ConfigFromEnvironment_IsRead) {
  ::setenv("APPENDFS_CONFIG", Config("count = 9\n").c_str(), 1);
  EXPECT_EQ(Run({}, [](Program&, const Values& values) { return values.count; }).code, 9);
}

TEST_F(ProgramTest, BadInput_OneLineAndCode2) {
  auto never = [](Program&, const Values&) { return 0; };
  const std::vector<std::vector<std::string>> bad = {{"--no-such"},
                                                     {"--count", "many"},
                                                     {"stray"},
                                                     {"--log-level", "loud"},
                                                     {"--config", dir_ / "missing"},
                                                     {"--config", Config("no-such = 1\n")}};
  for (const auto& arguments : bad) {
    Ended ended = Run(arguments, never);
    EXPECT_EQ(ended.code, 2) << arguments.front();
    EXPECT_THAT(ended.errors, testing::StartsWith("appendfs-test: "));
    EXPECT_EQ(std::count(ended.errors.begin(), ended.errors.end(), '\n'), 1) << ended.errors;
  }
}

TEST_F(ProgramTest, HelpAndVersion_OnOutput_Code0) {
  auto never = [](Program&, const Values&) { return 1; };
  Ended help = Run({"--help"}, never);
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.output, HasSubstr("--data-dir"));
  EXPECT_THAT(help.output, HasSubstr("APPENDFS_DATA_DIR"));
  Ended version = Run({"--version"}, never);
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.output, "appendfs-test " APPENDFS_VERSION "\n");
}

TEST_F(ProgramTest, WaitForStop_ReturnsTheSignal) {
  for (int signal : {SIGTERM, SIGINT}) {
    Ended ended = Run({}, [signal](Program& program, const Values&) {
      ::kill(::getpid(), SIGHUP);  // no reason to stop
      ::kill(::getpid(), signal);
      return program.WaitForStop();
    });
    EXPECT_EQ(ended.code, signal) << ended.errors;
  }
}

TEST_F(ProgramTest, Tool_DiesOfSignals) {
  Ended ended = Run(
      {},
      [](Program&, const Values&) {
        ::kill(::getpid(), SIGINT);
        return 0;
      },
      ProgramKind::kTool);
  EXPECT_EQ(ended.code, 128 + SIGINT);
}

TEST_F(ProgramTest, PrintError_NamesTheProgram) {
  Ended ended = Run({"--log-dir", dir_.path()}, [](Program&, const Values&) {
    PrintError("appendfs-test", "it is broken");
    return 1;
  });
  EXPECT_EQ(ended.errors, "appendfs-test: it is broken\n");
  EXPECT_THAT(Slurp(dir_ / "appendfs-test.ERROR"), HasSubstr("it is broken"));
}

}  // namespace
}  // namespace appendfs
