// Rows reach the strand in order, and reading goes on meanwhile, up to a bound.
#include "server/piece_loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "tests/fakes/manual_executor.h"
#include "tests/until.h"

namespace meridian::server {
namespace {

PieceLoader::Rows Piece(int number) { return {{std::to_string(number), "value"}}; }

class PieceLoaderTest : public testing::Test {
 protected:
  absl::Status Load(const PieceLoader::Rows& rows) {
    keys_.push_back(rows.front().first);
    return rows.front().first == fails_ ? absl::ResourceExhaustedError("full") : absl::OkStatus();
  }
  PieceLoader::Load Loading() {
    return [this](const PieceLoader::Rows& rows) { return Load(rows); };
  }

  std::string fails_;
  std::vector<std::string> keys_;  // on the strand
};

// One at a time, this would wait for ever: nobody runs the strand before the end.
TEST_F(PieceLoaderTest, TakesTheNextPiecesWhileTheStrandIsBusy) {
  ManualExecutor strand;
  PieceLoader loader(strand, Loading());
  for (size_t i = 0; i < PieceLoader::kMaxWaiting; ++i) {
    ASSERT_TRUE(loader.Add(Piece(static_cast<int>(i))).ok());
  }
  EXPECT_TRUE(keys_.empty());
  strand.RunQueued();
  EXPECT_TRUE(loader.Finish().ok());
  EXPECT_EQ(keys_, (std::vector<std::string>{"0", "1", "2", "3"}));
}

TEST_F(PieceLoaderTest, WaitsOnceTooManyAreOnTheWay) {
  const std::unique_ptr<Executor> strand = MakeThreadExecutor("strand");
  std::atomic<bool> open{false};
  std::atomic<int> added{0};
  constexpr int kPieces = 50;
  // The strand is held up.
  strand->Post([&open] { EXPECT_TRUE(Until([&open] { return open.load(); })); });
  std::thread reader([&] {
    PieceLoader loader(*strand, Loading());
    for (int i = 0; i < kPieces; ++i, ++added) EXPECT_TRUE(loader.Add(Piece(i)).ok());
    EXPECT_TRUE(loader.Finish().ok());
  });
  EXPECT_TRUE(Until([&] { return added >= static_cast<int>(PieceLoader::kMaxWaiting); }));
  EXPECT_EQ(added, static_cast<int>(PieceLoader::kMaxWaiting));
  open = true;
  reader.join();
  ASSERT_EQ(keys_.size(), size_t{kPieces});
  for (int i = 0; i < kPieces; ++i) EXPECT_EQ(keys_[static_cast<size_t>(i)], std::to_string(i));
}

TEST_F(PieceLoaderTest, TellsTheFirstError) {
  fails_ = "1";
  ManualExecutor strand;
  PieceLoader loader(strand, Loading());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(loader.Add(Piece(i)).ok());
  strand.RunQueued();
  EXPECT_TRUE(absl::IsResourceExhausted(loader.Add(Piece(3))));
  EXPECT_TRUE(absl::IsResourceExhausted(loader.Finish()));
}

}  // namespace
}  // namespace meridian::server
