// 128-bit random identifiers, each kind a type of its own. They are never used again (P19).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace meridian {

class Random;

template <typename Tag>
class Id128 {
 public:
  static constexpr size_t kSize = 16;

  // The nil id: never drawn, means "none".
  constexpr Id128() = default;

  static Id128 Draw(Random& random);
  // `bytes` as made by bytes(); nullopt unless it is 16 bytes long.
  static std::optional<Id128> FromBytes(std::string_view bytes);
  // `hex` as made by ToHex(); nullopt unless it is 32 lowercase hex digits.
  static std::optional<Id128> FromHex(std::string_view hex);

  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  std::string ToHex() const;
  bool is_nil() const { return *this == Id128(); }

  auto operator<=>(const Id128&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const Id128& id) {
    return H::combine(std::move(h), id.bytes_);
  }
  friend std::ostream& operator<<(std::ostream& os, const Id128& id) { return os << id.ToHex(); }

 private:
  std::array<uint8_t, kSize> bytes_{};
};

using ClusterId = Id128<struct ClusterIdTag>;
using TenantId = Id128<struct TenantIdTag>;
using ContainerId = Id128<struct ContainerIdTag>;
using PartitionId = Id128<struct PartitionIdTag>;
// One copy of a partition on one disk, in one life: a replica that discards anything it
// acknowledged comes back under a new id (P4).
using ReplicaId = Id128<struct ReplicaIdTag>;
using DiskId = Id128<struct DiskIdTag>;
// One recorded opening of a disk (P11).
using OpeningId = Id128<struct OpeningIdTag>;
// One process's leadership of a group (P1).
using SessionId = Id128<struct SessionIdTag>;
// A keyed hash of an object's name in its container: binds ciphertext to the name without telling
// it.
using ObjectId = Id128<struct ObjectIdTag>;
// One immutable state of an object.
using VersionId = Id128<struct VersionIdTag>;
// One streaming attempt's chunks: a chunk's lasting identity is (run id, chunk number) (P19). A
// plain write has one run; a resumed upload has one for each stream that carried bytes.
using RunId = Id128<struct RunIdTag>;
using UploadId = Id128<struct UploadIdTag>;
// Of a client, for safe retries of one logical operation (P5).
using RequestId = Id128<struct RequestIdTag>;
// The public half of an access key.
using AccessKeyId = Id128<struct AccessKeyIdTag>;

// Names a node in the topology, in its certificate's SAN and in configurations: 1-63 characters of
// [a-z0-9-], for example "east-1a".
using NodeId = std::string;

}  // namespace meridian
