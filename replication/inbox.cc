#include "replication/inbox.h"

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian::replication {

struct Inbox::State {
  State(Executor& executor, size_t max) : strand(executor), max_items(max) {}

  Executor& strand;  // not touched once closed
  const size_t max_items;
  absl::Mutex mutex;
  std::deque<Item> items ABSL_GUARDED_BY(mutex);
  bool posted ABSL_GUARDED_BY(mutex) = false;
  absl::Status closed ABSL_GUARDED_BY(mutex);
};

Inbox::Inbox(Executor& strand, size_t max_items)
    : state_(std::make_shared<State>(strand, max_items)) {}

Inbox::~Inbox() { Close(absl::UnavailableError("the replica is gone")); }

Inbox::Handle Inbox::MakeHandle() const { return Handle(state_); }

void Inbox::Add(Item item) { AddTo(state_, std::move(item), /*bounded=*/true); }

void Inbox::Handle::Post(Task task) const {
  AddTo(state_, {std::move(task), nullptr}, /*bounded=*/false);
}

void Inbox::AddTo(const std::shared_ptr<State>& state, Item item, bool bounded) {
  absl::Status refused;
  {
    absl::MutexLock lock(&state->mutex);
    if (!state->closed.ok()) {
      refused = state->closed;
    } else if (bounded && state->items.size() >= state->max_items) {
      refused = absl::ResourceExhaustedError("too many requests wait for this replica");
    } else {
      state->items.push_back(std::move(item));
      if (!std::exchange(state->posted, true)) {
        state->strand.Post([weak = std::weak_ptr<State>(state)] {
          if (auto alive = weak.lock()) Drain(alive);
        });
      }
      return;
    }
  }
  if (item.refuse) item.refuse(refused);
}

void Inbox::Drain(const std::shared_ptr<State>& state) {
  std::deque<Item> items;
  {
    absl::MutexLock lock(&state->mutex);
    state->posted = false;
    items.swap(state->items);
  }
  while (!items.empty()) {
    Item item = std::move(items.front());
    items.pop_front();
    absl::Status closed;
    {
      absl::MutexLock lock(&state->mutex);
      closed = state->closed;
    }
    if (closed.ok()) {
      item.run();
    } else if (item.refuse) {
      item.refuse(closed);
    }
  }
}

void Inbox::Close(const absl::Status& reason) {
  std::deque<Item> items;
  {
    absl::MutexLock lock(&state_->mutex);
    if (state_->closed.ok()) state_->closed = reason;
    items.swap(state_->items);
  }
  for (Item& item : items) {
    if (item.refuse) item.refuse(reason);
  }
}

}  // namespace meridian::replication
