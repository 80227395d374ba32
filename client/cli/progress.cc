#include "client/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/cli/format.h"

namespace meridian::cli {
namespace {

constexpr absl::Duration kBarInterval = absl::Milliseconds(200);
constexpr absl::Duration kLineInterval = absl::Seconds(5);
constexpr int kBarWidth = 24;
// Back to the line's beginning, and erase it.
constexpr char kEraseLine[] = "\r\033[K";

}  // namespace

ProgressStyle ChooseStyle(bool json) {
  if (json) return ProgressStyle::kNone;
  return isatty(STDERR_FILENO) ? ProgressStyle::kBar : ProgressStyle::kLines;
}

Progress::Progress(std::ostream& err, ProgressStyle style, std::string verb)
    : style_(style), verb_(std::move(verb)), start_(absl::Now()), err_(err) {
  if (style_ != ProgressStyle::kNone) shower_ = std::thread([this] { Show(); });
}

Progress::~Progress() { Finish(); }

void Progress::SetTotal(int64_t files, int64_t bytes) {
  total_files_ = files;
  total_bytes_ = bytes;
}

void Progress::FileSkipped(int64_t bytes) {
  skipped_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  skipped_.fetch_add(1, std::memory_order_relaxed);
}

void Progress::FileFailed(const std::string& what, const absl::Status& status) {
  failures_.fetch_add(1);
  {
    absl::MutexLock lock(&mutex_);
    if (first_failure_.ok()) first_failure_ = status;
  }
  PrintMessage(
      absl::StrCat("failed: ", Printable(what), ": ", Printable(FromAbsl(status.message()))));
}

void Progress::Note(const std::string& text) { PrintMessage(text); }

void Progress::PrintMessage(const std::string& text) {
  absl::MutexLock lock(&mutex_);
  if (bar_shown_) err_ << kEraseLine;
  bar_shown_ = false;
  err_ << text << "\n";
  err_.flush();
}

absl::Status Progress::Result() const {
  absl::MutexLock lock(&mutex_);
  if (first_failure_.ok()) return absl::OkStatus();
  if (failures_ == 1) return first_failure_;
  return Annotate(first_failure_, absl::StrCat(failures_.load(), " files failed, the first"));
}

Progress::Summary Progress::Finish() {
  {
    absl::MutexLock lock(&mutex_);
    finished_ = true;
  }
  if (shower_.joinable()) shower_.join();
  return {.files = files_,
          .skipped = skipped_,
          .failed = failures_,
          .bytes = bytes_,
          .seconds = absl::ToDoubleSeconds(absl::Now() - start_)};
}

void Progress::Show() {
  const absl::Duration interval = style_ == ProgressStyle::kBar ? kBarInterval : kLineInterval;
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(&finished_), interval)) {
    if (style_ == ProgressStyle::kBar) {
      err_ << kEraseLine << Line();
      bar_shown_ = true;
    } else {
      err_ << Line() << "\n";
    }
    err_.flush();
  }
  if (bar_shown_) err_ << kEraseLine;
  err_.flush();
}

std::string Progress::Line() const {
  const double seconds = std::max(absl::ToDoubleSeconds(absl::Now() - start_), 0.001);
  const auto bytes = static_cast<double>(bytes_);
  const int64_t files = files_ + skipped_;
  std::string line = verb_ + " ";
  if (total_bytes_ > 0) {
    const double share = std::clamp(
        (bytes + static_cast<double>(skipped_bytes_)) / static_cast<double>(total_bytes_), 0.0,
        1.0);
    if (style_ == ProgressStyle::kBar) {
      const auto filled = static_cast<size_t>(share * kBarWidth);
      line += "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
    }
    line += absl::StrFormat("%3.0f%%  ", share * 100);
  }
  line += total_files_ >= 0 ? absl::StrFormat("%d/%d files  ", files, total_files_.load())
                            : absl::StrFormat("%d files  ", files);
  return line + HumanBytes(bytes) + "  " + HumanBytes(bytes / seconds) + "/s";
}

absl::StatusOr<size_t> CountingSource::Read(std::span<char> out) {
  absl::StatusOr<size_t> count = source_.Read(out);
  if (count.ok()) {
    position_ += *count;
    progress_.AddBytes(static_cast<int64_t>(*count));
  }
  return count;
}

absl::Status CountingSource::Seek(uint64_t offset) {
  RETURN_IF_ERROR(source_.Seek(offset));
  progress_.AddBytes(static_cast<int64_t>(offset) - static_cast<int64_t>(position_));
  position_ = offset;
  return absl::OkStatus();
}

absl::Status CountingSink::Write(std::string_view bytes) {
  RETURN_IF_ERROR(sink_.Write(bytes));
  progress_.AddBytes(static_cast<int64_t>(bytes.size()));
  written_ += static_cast<int64_t>(bytes.size());
  return absl::OkStatus();
}

absl::Status CountingSink::Restart() {
  RETURN_IF_ERROR(sink_.Restart());
  progress_.AddBytes(-std::exchange(written_, 0));
  return absl::OkStatus();
}

}  // namespace meridian::cli
