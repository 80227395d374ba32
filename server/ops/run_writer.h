// Writes the chunks of one run through the replica: encrypts them, keeps a few in flight, and gives
// the run up if nothing comes to reference it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/id.h"
#include "crypto/chunk_cipher.h"
#include "server/ops/context.h"

namespace meridian::ops {

// Not thread-safe: belongs to the handler's thread.
class RunWriter {
 public:
  // Bounds a stream's memory: this many ciphertext chunks, and the plaintext of one.
  static constexpr int kMaxChunksInFlight = 8;

  // A new run of the object; its key is derived from `dek`. The context outlives the writer.
  RunWriter(const Context& context, const crypto::ContainerKeys& keys, std::string_view name,
            const crypto::SecretKey& dek);
  // Ends the run. If chunks were sent and Keep was not called, proposes that the run is aborted, so
  // that the space comes back (P8).
  ~RunWriter();
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;

  RunId run() const { return run_; }
  const crypto::RunHeader& header() const { return cipher_->header(); }
  uint32_t chunks_sent() const { return chunks_sent_; }

  // Encrypts the run's only chunk for the log; nothing is sent.
  absl::StatusOr<Buffer> EncryptInline(std::span<const std::string_view> plaintext) const;

  // Sends the next chunk; blocks while kMaxChunksInFlight are not durable yet. Returns the first
  // error of any chunk.
  absl::Status Send(std::span<const std::string_view> plaintext, absl::Time deadline);
  // Waits until all that was sent is durable on a write quorum.
  absl::Status Flush(absl::Time deadline);

  // The state machine has taken the run over, referenced or aborted.
  void Keep() { kept_ = true; }

 private:
  struct InFlight;

  // Waits until another chunk may be in flight; what it returns is kept until that is durable.
  absl::StatusOr<std::shared_ptr<void>> AwaitTurn(absl::Time deadline);

  const Context& context_;
  const RunId run_;
  const std::unique_ptr<crypto::RunCipher> cipher_;
  // Shared with the callbacks of chunks, which may come after this object is gone.
  const std::shared_ptr<InFlight> in_flight_;
  uint32_t chunks_sent_ = 0;
  bool kept_ = false;
};

}  // namespace meridian::ops
