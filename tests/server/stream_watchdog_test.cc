#include "server/handlers/stream_watchdog.h"

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"

namespace meridian::server {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(1);

TEST(StreamWatchdog, CancelsACallWhoseClientKeepsItWaiting) {
  StreamWatchdog watchdog(absl::Milliseconds(5), kInterval);
  absl::Notification cancelled;
  StreamWatchdog::Call call(watchdog, absl::InfiniteFuture(), [&] { cancelled.Notify(); });
  EXPECT_FALSE(call.Wait([&] {
    cancelled.WaitForNotification();  // as a blocked Read does
    return false;
  }));
  // Once only: a second call would notify twice, which is fatal.
  EXPECT_TRUE(call.Wait([] { return true; }));
}

TEST(StreamWatchdog, CancelsACallAtItsDeadline) {
  StreamWatchdog watchdog(absl::Hours(1), kInterval);
  absl::Notification cancelled;
  StreamWatchdog::Call call(watchdog, absl::Now() + absl::Milliseconds(5),
                            [&] { cancelled.Notify(); });
  cancelled.WaitForNotification();
}

TEST(StreamWatchdog, LeavesACallAloneThatDoesNotWaitForItsClient) {
  StreamWatchdog watchdog(absl::ZeroDuration(), kInterval);
  bool cancelled = false;
  StreamWatchdog::Call idle(watchdog, absl::InfiniteFuture(), [&] { cancelled = true; });
  // When the second has been cancelled, the first has been looked at in the same round.
  absl::Notification looked;
  StreamWatchdog::Call late(watchdog, absl::InfinitePast(), [&] { looked.Notify(); });
  looked.WaitForNotification();
  EXPECT_FALSE(cancelled);
}

}  // namespace
}  // namespace meridian::server
