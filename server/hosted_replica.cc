#include "server/hosted_replica.h"

namespace meridian::server {

HostedReplica::HostedReplica(Identity identity, Executor& strand, std::unique_ptr<Replica> replica,
                             std::function<void()> destroyed)
    : identity_(identity),
      strand_(strand),
      replica_(std::move(replica)),
      destroyed_(std::move(destroyed)) {}

HostedReplica::~HostedReplica() {
  // Shared, since a Task is copyable; the strand is the only owner once this has returned.
  std::shared_ptr<Replica> replica = std::move(replica_);
  strand_.Post([replica = std::move(replica), destroyed = std::move(destroyed_)]() mutable {
    replica.reset();
    destroyed();
  });
}

bool HostedReplica::Seal() {
  absl::MutexLock lock(&mutex_);
  return !std::exchange(sealed_, true);
}

void HostedReplica::Unseal() {
  absl::MutexLock lock(&mutex_);
  sealed_ = false;
}

void HostedReplica::ProposeSealed(replication::Proposal proposal,
                                  std::function<void(absl::StatusOr<replication::Applied>)> done) {
  replica_->Propose(std::move(proposal), std::move(done));
}

void HostedReplica::Propose(replication::Proposal proposal,
                            std::function<void(absl::StatusOr<replication::Applied>)> done) {
  {
    // Held while the command takes its place: none that was let in comes after Seal's return.
    absl::MutexLock lock(&mutex_);
    if (!sealed_) {
      replica_->Propose(std::move(proposal), std::move(done));
      return;
    }
  }
  strand_.Post([done = std::move(done)] {
    done(absl::UnavailableError("the container is being deleted; nothing was done"));
  });
}

void HostedReplica::ConfirmRead(std::function<void(absl::Status)> done) {
  replica_->ConfirmRead(std::move(done));
}

std::unique_ptr<storage::KvReader> HostedReplica::NewView() const { return replica_->NewView(); }

void HostedReplica::WriteChunk(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                               std::function<void(absl::Status)> done) {
  replica_->WriteChunk(chunk, std::move(ciphertext), crc32c, std::move(done));
}

void HostedReplica::EndRun(RunId run) { replica_->EndRun(run); }

absl::StatusOr<Buffer> HostedReplica::ReadChunk(storage::ChunkId chunk, size_t offset, size_t size,
                                                absl::Duration timeout) {
  return replica_->ReadChunk(chunk, offset, size, timeout);
}

void HostedReplica::FetchChunk(storage::ChunkId chunk,
                               std::function<void(absl::StatusOr<Buffer>)> done) {
  replica_->FetchChunk(chunk, std::move(done));
}

std::shared_ptr<void> HostedReplica::PinRun(RunId run) { return replica_->PinRun(run); }

void HostedReplica::ChangeMembers(std::vector<replication::Member> members,
                                  std::function<void(absl::Status)> done) {
  replica_->ChangeMembers(std::move(members), std::move(done));
}

void HostedReplica::OfferLeadership(ReplicaId to, std::function<void(absl::Status)> done) {
  replica_->OfferLeadership(to, std::move(done));
}

void HostedReplica::GetStatus(std::function<void(replication::ReplicaStatus)> done) {
  replica_->GetStatus(std::move(done));
}

void HostedReplica::GetDigest(
    std::function<void(absl::StatusOr<std::pair<LogIndex, std::string>>)> done) {
  replica_->GetDigest(std::move(done));
}

void HostedReplica::OnMessage(replication::PeerMessage message) {
  replica_->OnMessage(std::move(message));
}

void HostedReplica::OnConfigHint() { replica_->OnConfigHint(); }

void HostedReplica::Stop() { replica_->Stop(); }

}  // namespace meridian::server
