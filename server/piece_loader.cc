#include "server/piece_loader.h"

#include "base/status.h"

namespace meridian::server {

PieceLoader::~PieceLoader() { Finish().IgnoreError(); }

absl::Status PieceLoader::Add(Rows piece) {
  RETURN_IF_ERROR(AwaitAtMost(kMaxWaiting - 1));
  {
    absl::MutexLock lock(&mutex_);
    ++waiting_;
  }
  strand_.Post([this, piece = std::move(piece)] {
    const absl::Status loaded = load_(piece);
    absl::MutexLock lock(&mutex_);
    status_.Update(loaded);
    --waiting_;
  });
  return absl::OkStatus();
}

absl::Status PieceLoader::Finish() { return AwaitAtMost(0); }

absl::Status PieceLoader::AwaitAtMost(size_t waiting) {
  absl::MutexLock lock(&mutex_);
  const auto few = [this, waiting] {
    mutex_.AssertReaderHeld();
    return waiting_ <= waiting;
  };
  mutex_.Await(absl::Condition(&few));
  return status_;
}

}  // namespace meridian::server
