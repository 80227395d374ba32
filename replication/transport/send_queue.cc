#include "replication/transport/send_queue.h"

namespace meridian::replication {

bool SendQueue::Push(PeerMessage message, size_t size_bytes) {
  const size_t bound = message.attachments.empty() ? max_bytes_ : max_bytes_ / 2;
  if (size_bytes > max_message_bytes_ || bytes_ + size_bytes > bound) return false;
  bytes_ += size_bytes;
  messages_.emplace_back(std::move(message), size_bytes);
  return true;
}

std::vector<PeerMessage> SendQueue::TakeBatch(size_t max_bytes) {
  std::vector<PeerMessage> batch;
  size_t batch_bytes = 0;
  while (!messages_.empty()) {
    const size_t size = messages_.front().second;
    if (!batch.empty() && batch_bytes + size > max_bytes) break;
    batch_bytes += size;
    bytes_ -= size;
    batch.push_back(std::move(messages_.front().first));
    messages_.pop_front();
  }
  return batch;
}

void SendQueue::Clear() {
  messages_.clear();
  bytes_ = 0;
}

}  // namespace meridian::replication
