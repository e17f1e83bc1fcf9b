#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace appendfs {

// What every AppendFS program does the same way: flags, APPENDFS_* environment
// and a config file with the same names; glog; --version; signals.
//
//   Program program("appendfs-master", "Serves the namespace ...");
//   program.Add("--data-dir", dir, "Where the namespace is kept")->required();
//   if (int code = program.Parse(argc, argv); code >= 0) return code;
//   ...
//   program.WaitForStop();   // SIGTERM or SIGINT
//
// A tool, unlike a server, dies of signals as programs do and logs only
// warnings and worse unless it is asked for more.
enum class ProgramKind { kServer, kTool };

class Program {
 public:
  Program(std::string name, std::string description, ProgramKind kind = ProgramKind::kServer);
  Program(const Program&) = delete;

  CLI::App& app() { return app_; }
  // An option that is also the environment variable APPENDFS_<NAME> and the
  // config file key <name>: "--data-dir" is APPENDFS_DATA_DIR and data-dir.
  template <class T>
  CLI::Option* Add(const std::string& flag, T& value, const std::string& help) {
    return app_.add_option(flag, value, help)
        ->envname(EnvironmentName(flag))
        ->capture_default_str();
  }
  CLI::Option* AddFlag(const std::string& flag, bool& value, const std::string& help) {
    return app_.add_flag(flag, value, help)->envname(EnvironmentName(flag));
  }
  static std::string EnvironmentName(const std::string& flag);

  // Parses, sets up logging and, for a server, blocks SIGTERM, SIGINT and
  // SIGHUP in this thread (call it before any thread is started). -1: go on;
  // else the exit code to end with, the message is already out. A flag wins
  // over the environment, the environment over the config file.
  int Parse(int argc, char** argv);

  // Waits for SIGTERM or SIGINT; returns its number. A service manager is told
  // that the program is ready, and that it stops.
  int WaitForStop();

 private:
  void StartLogging();

  const std::string name_;
  const ProgramKind kind_;
  CLI::App app_;
  std::string log_dir_, log_level_;
};

// Prints "program: message" to stderr and logs it.
void PrintError(const std::string& program, const std::string& message);

}  // namespace appendfs
