#include "common/program.h"

#include <glog/logging.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/synchronization/mutex.h"
#include "common/planted.h"
#include "common/service_manager.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

// CLI11 lets the config file win over the environment; people expect the
// opposite, so keys that the environment sets are dropped from the file.
class ConfigBelowEnvironment final : public CLI::ConfigTOML {
 public:
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> items = CLI::ConfigTOML::from_config(input);
    std::erase_if(items, [](const CLI::ConfigItem& item) {
      return std::getenv(Program::EnvironmentName(item.name).c_str()) != nullptr;
    });
    return items;
  }
};

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

Program::Program(std::string name, std::string description, ProgramKind kind)
    : name_(std::move(name)),
      kind_(kind),
      app_(std::move(description), name_),
      log_level_(kind == ProgramKind::kServer ? "info" : "warning") {
  app_.set_version_flag("--version", StrCat(name_, " ", APPENDFS_VERSION));
  app_.config_formatter(std::make_shared<ConfigBelowEnvironment>());
  app_.allow_config_extras(CLI::config_extras_mode::error);
  // A file that was asked for must be there; the usual one need not be.
  const char* config_file = std::getenv("APPENDFS_CONFIG");
  app_.set_config("--config", config_file ? config_file : StrCat("/etc/appendfs/", name_, ".conf"),
                  "File with the same options, as lines of NAME = VALUE (Env:APPENDFS_CONFIG)",
                  config_file != nullptr);
  Add("--log-dir", log_dir_, "Directory for log files (default: standard error)");
  Add("--log-level", log_level_, "Least severe messages that are logged")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
}

std::string Program::EnvironmentName(const std::string& flag) {
  std::string_view name = flag;
  if (size_t comma = name.rfind(','); comma != std::string_view::npos)
    name.remove_prefix(comma + 1);
  while (name.starts_with('-')) name.remove_prefix(1);
  std::string variable = StrCat("APPENDFS_", absl::AsciiStrToUpper(ToAbsl(name)));
  std::replace(variable.begin(), variable.end(), '-', '_');
  return variable;
}

int Program::Parse(int argc, char** argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app_.exit(success);
  } catch (const CLI::Error& error) {
    PrintError(name_, StrCat(error.what(), " (see ", name_, " --help)"));
    return 2;
  }
  const char* bug = kPlantedBuild ? std::getenv("APPENDFS_PLANT") : nullptr;
  if (bug && !Plant(bug)) {
    PrintError(name_, StrCat("APPENDFS_PLANT=", bug, ": no such bug; common/planted.h has them"));
    return 2;
  }
  StartLogging();
  // Debian's Abseil looks for lock cycles at run time, gRPC's locks included,
  // which costs a tenth of an append. The sanitized builds look, too.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (kind_ == ProgramKind::kServer) {
    sigset_t blocked = StopSignals();
    sigaddset(&blocked, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }
  return -1;
}

void Program::StartLogging() {
  if (log_dir_.empty()) {
    FLAGS_logtostderr = true;
  } else {
    FLAGS_log_dir = log_dir_;
    FLAGS_stderrthreshold = google::GLOG_FATAL;
  }
  FLAGS_minloglevel = log_level_ == "warning" ? google::GLOG_WARNING
                      : log_level_ == "error" ? google::GLOG_ERROR
                                              : google::GLOG_INFO;
  FLAGS_v = log_level_ == "debug" ? 1 : 0;
  google::InitGoogleLogging(name_.c_str());
  google::InstallFailureSignalHandler();
  std::signal(SIGTERM, SIG_DFL);  // glog takes it for a failure
}

int Program::WaitForStop() {
  TellServiceManager("READY=1");
  sigset_t set = StopSignals();
  int signal_number = 0;
  while (sigwait(&set, &signal_number) != 0) {
  }
  TellServiceManager("STOPPING=1");
  return signal_number;
}

void PrintError(const std::string& program, const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), message.c_str());
  if (google::IsGoogleLoggingInitialized() && !FLAGS_logtostderr) LOG(ERROR) << message;
}

}  // namespace appendfs
