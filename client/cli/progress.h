// What a transfer has done so far, and showing it: a bar on a terminal, a line now and then
// elsewhere, nothing with --json.
#pragma once

#include <atomic>
#include <cstdint>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/byte_stream.h"

namespace meridian::cli {

enum class ProgressStyle { kNone, kLines, kBar };

// kBar if stderr is a terminal.
ProgressStyle ChooseStyle(bool json);

// Thread-safe.
class Progress {
 public:
  // `verb`: "put", "get".
  Progress(std::ostream& err, ProgressStyle style, std::string verb);
  ~Progress();

  // Once known; without it there is no bar, only counts.
  void SetTotal(int64_t files, int64_t bytes);
  // Negative when a part is sent or read again.
  void AddBytes(int64_t bytes) { bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  void FileDone() { files_.fetch_add(1, std::memory_order_relaxed); }
  // It was identical already.
  void FileSkipped(int64_t bytes);
  // Shows the failure at once and goes on.
  void FileFailed(const std::string& what, const absl::Status& status);
  // Something the user should know of that is no failure.
  void Note(const std::string& text);

  int64_t failures() const { return failures_.load(); }
  // OK, or the first failure with how many there were.
  absl::Status Result() const;

  struct Summary {
    int64_t files = 0;
    int64_t skipped = 0;
    int64_t failed = 0;
    int64_t bytes = 0;
    double seconds = 0;
  };
  // Ends the showing. Call once, last.
  Summary Finish();

 private:
  void Show();
  std::string Line() const;
  void PrintMessage(const std::string& text) ABSL_LOCKS_EXCLUDED(mutex_);

  const ProgressStyle style_;
  const std::string verb_;
  const absl::Time start_;
  std::atomic<int64_t> files_{0};
  std::atomic<int64_t> skipped_{0};
  std::atomic<int64_t> failures_{0};
  std::atomic<int64_t> bytes_{0};
  std::atomic<int64_t> skipped_bytes_{0};
  std::atomic<int64_t> total_files_{-1};
  std::atomic<int64_t> total_bytes_{-1};

  mutable absl::Mutex mutex_;
  std::ostream& err_ ABSL_GUARDED_BY(mutex_);
  bool bar_shown_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status first_failure_ ABSL_GUARDED_BY(mutex_);
  std::thread shower_;
};

// Count what passes through; the wrapped one must outlive them.
class CountingSource : public ByteSource {
 public:
  CountingSource(ByteSource& source, Progress& progress) : source_(source), progress_(progress) {}
  absl::StatusOr<size_t> Read(std::span<char> out) override;
  std::optional<uint64_t> size() const override { return source_.size(); }
  bool seekable() const override { return source_.seekable(); }
  absl::Status Seek(uint64_t offset) override;

 private:
  ByteSource& source_;
  Progress& progress_;
  uint64_t position_ = 0;
};

class CountingSink : public ByteSink {
 public:
  CountingSink(ByteSink& sink, Progress& progress) : sink_(sink), progress_(progress) {}
  absl::Status Write(std::string_view bytes) override;
  absl::Status Restart() override;

 private:
  ByteSink& sink_;
  Progress& progress_;
  int64_t written_ = 0;
};

}  // namespace meridian::cli
