#include "server/ops/run_writer.h"

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "server/ops/chunk_budget.h"
#include "server/ops/errors.h"
#include "server/ops/version_codec.h"
#include "server/telemetry/call_record.h"
#include "storage/objects/records.h"

namespace meridian::ops {

struct RunWriter::InFlight {
  void Finish(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    --count;
    error.Update(status);
  }

  // Waits until at most `max` chunks are in flight; the first error ends the wait.
  absl::Status AwaitAtMost(int max, absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    const auto ready = [this, max] {
      mutex.AssertReaderHeld();
      return count <= max || !error.ok();
    };
    if (!mutex.AwaitWithDeadline(absl::Condition(&ready), deadline)) {
      return DeadlineExceeded("store the body");
    }
    return error;
  }

  void Start() ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    ++count;
  }

  absl::Mutex mutex;
  int count ABSL_GUARDED_BY(mutex) = 0;
  absl::Status error ABSL_GUARDED_BY(mutex);
};

RunWriter::RunWriter(const Context& context, const crypto::ContainerKeys& keys,
                     std::string_view name, const crypto::SecretKey& dek)
    : context_(context),
      run_(RunId::Draw(*context.random)),
      cipher_(crypto::RunCipher::Create(dek, RunIdentityOf(keys, name, run_), *context.random)),
      in_flight_(std::make_shared<InFlight>()) {}

RunWriter::~RunWriter() {
  if (chunks_sent_ == 0) return;
  context_.replica->EndRun(run_);
  if (kept_) return;
  replication::Proposal abort;
  abort.command = objects::EncodeAbortRun(run_);
  // Nobody waits for the answer: if this is lost, the replicas abort the run as an orphan later.
  context_.replica->Propose(std::move(abort), [](const absl::StatusOr<replication::Applied>&) {});
}

absl::StatusOr<Buffer> RunWriter::EncryptInline(std::span<const std::string_view> plaintext) const {
  return cipher_->EncryptChunk(0, plaintext);
}

absl::Status RunWriter::Send(std::span<const std::string_view> plaintext, absl::Time deadline) {
  ASSIGN_OR_RETURN(const std::shared_ptr<void> allowance, AwaitTurn(deadline));
  ASSIGN_OR_RETURN(Buffer ciphertext, cipher_->EncryptChunk(chunks_sent_, plaintext));
  const uint32_t crc32c = Crc32c(ciphertext.view());
  in_flight_->Start();
  const storage::ChunkId chunk{.run = run_, .number = chunks_sent_++};
  context_.replica->WriteChunk(chunk, std::move(ciphertext), crc32c,
                               [in_flight = in_flight_, allowance](const absl::Status& status) {
                                 in_flight->Finish(FromChunkWrite(status));
                               });
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<void>> RunWriter::AwaitTurn(absl::Time deadline) {
  const server::PhaseTimer timer(server::CallPhase::kBody);
  RETURN_IF_ERROR(in_flight_->AwaitAtMost(kMaxChunksInFlight - 1, deadline));
  if (context_.chunk_budget == nullptr) return std::shared_ptr<void>();
  return context_.chunk_budget->Acquire(deadline);
}

absl::Status RunWriter::Flush(absl::Time deadline) {
  const server::PhaseTimer timer(server::CallPhase::kBody);
  return in_flight_->AwaitAtMost(0, deadline);
}

}  // namespace meridian::ops
