// What replicas need of the chunks that those of one container share on a disk.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"

namespace meridian::storage {

// Of one replica. Confined to the disk's strand: an answer holds until the task that asked ends.
class RunNeeds {
 public:
  virtual ~RunNeeds() = default;
  // It may need any run, whatever else it answers: its state is not whole, or what its log
  // references has not been read yet.
  virtual bool MayNeedAny() const = 0;
  // It writes or reads the run, or an entry names it that is not applied here, or that a member of
  // its group has not passed.
  virtual bool Holds(RunId run) const = 0;
  // Its state knows the run.
  virtual absl::StatusOr<bool> Knows(RunId run) const = 0;
};

// Of several together; nullptr stands for one that has told nothing, and may need any run.
class JointNeeds final : public RunNeeds {
 public:
  // All outlive it.
  explicit JointNeeds(std::vector<const RunNeeds*> needs) : needs_(std::move(needs)) {}

  bool MayNeedAny() const override;
  bool Holds(RunId run) const override;
  absl::StatusOr<bool> Knows(RunId run) const override;

 private:
  const std::vector<const RunNeeds*> needs_;
};

}  // namespace meridian::storage
