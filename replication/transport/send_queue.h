// What waits to be sent to one peer, bounded in bytes.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "replication/transport.h"

namespace meridian::replication {

// Not thread-safe.
class SendQueue {
 public:
  SendQueue(size_t max_bytes, size_t max_message_bytes)
      : max_bytes_(max_bytes), max_message_bytes_(max_message_bytes) {}

  // False: refused, because the queue is full for this kind of message or the message alone is too
  // large. Messages with attachments (bulk) get half of the queue, so that they are the first to
  // go.
  bool Push(PeerMessage message, size_t size_bytes);

  // At least one message if there are any, and no more than fit into `max_bytes`.
  std::vector<PeerMessage> TakeBatch(size_t max_bytes);

  bool empty() const { return messages_.empty(); }
  size_t count() const { return messages_.size(); }
  void Clear();

 private:
  const size_t max_bytes_;
  const size_t max_message_bytes_;
  size_t bytes_ = 0;  // of messages_
  std::deque<std::pair<PeerMessage, size_t>> messages_;
};

}  // namespace meridian::replication
