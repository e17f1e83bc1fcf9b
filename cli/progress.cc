#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_format.h"
#include "cli/format.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr auto kSilence = std::chrono::seconds(1);
constexpr auto kRedraw = std::chrono::milliseconds(200);

int TerminalWidth() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

}  // namespace

Progress::Progress(std::string name, uint64_t total, bool enabled)
    : name_(std::move(name)),
      total_(total),
      enabled_(enabled),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_) {}

Progress::~Progress() {
  if (visible_) std::fputs("\r\033[K", stderr);
}

void Progress::Advance(uint64_t bytes) {
  done_ += bytes;
  if (!enabled_) return;
  Time now = std::chrono::steady_clock::now();
  if (now - start_ < kSilence || now - drawn_ < kRedraw) return;
  drawn_ = now;
  visible_ = true;
  double seconds = std::chrono::duration<double>(now - start_).count();
  std::fprintf(stderr, "\r\033[K%s",
               Line(name_, done_, total_, seconds, TerminalWidth() - 1).c_str());
  std::fflush(stderr);
}

std::string Progress::Line(const std::string& name, uint64_t done, uint64_t total, double seconds,
                           int width) {
  std::string speed =
      HumanBytes(seconds > 0 ? static_cast<uint64_t>(static_cast<double>(done) / seconds) : 0);
  std::string tail = StrCat(HumanBytes(done), "  ", speed, "/s");
  std::string line = PrintableName(name) + "  ";
  if (total > 0) {
    double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    tail = absl::StrFormat("%3.0f%%  %s", share * 100, tail);
    int room = std::min(40, width - static_cast<int>(line.size() + tail.size()) - 4);
    if (room >= 5) {
      auto filled = static_cast<size_t>(share * room);
      absl::StrAppend(&line, "[", std::string(filled, '#'),
                      std::string(static_cast<size_t>(room) - filled, ' '), "]  ");
    }
  }
  line += tail;
  return line.substr(0, static_cast<size_t>(width));
}

bool Progress::Wanted() { return isatty(STDERR_FILENO) != 0; }

}  // namespace appendfs::cli
