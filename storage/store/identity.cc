#include "storage/store/identity.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "storage/store/codec.h"

namespace meridian::storage {
namespace {

constexpr std::string_view kMagic = "MRDNDISK";
constexpr uint32_t kVersion = 3;
// Without openings.
constexpr uint32_t kOldestVersion = 2;
constexpr char kFile[] = "identity";
constexpr size_t kMaxFileBytes = 4096;
constexpr size_t kCrcBytes = 4;

// A folder without identity is taken only if nothing of a store is in it.
absl::StatusOr<DiskIdentity> TakeFolder(Disk& disk, ClusterId cluster, const NodeId& node,
                                        Random& random) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, disk.List(""));
  for (const char* part : {"journal", "extents", "rocks"}) {
    if (std::find(names.begin(), names.end(), part) != names.end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the folder holds '", part, "' but no identity: it is not touched"));
    }
  }
  DiskIdentity identity;
  identity.cluster = cluster;
  identity.node = node;
  identity.disk = DiskId::Draw(random);
  return identity;
}

absl::Status CheckOwner(const DiskIdentity& identity, ClusterId cluster, const NodeId& node) {
  if (identity.cluster != cluster) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the folder belongs to cluster ", identity.cluster.ToHex(), ", this node to cluster ",
        cluster.ToHex(), ": put its own back; nothing was changed"));
  }
  if (identity.node != node) {
    return absl::FailedPreconditionError(absl::StrCat("the folder belongs to node '", identity.node,
                                                      "', this is '", node,
                                                      "': put its own back; nothing was changed"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string EncodeIdentity(const DiskIdentity& identity) {
  Encoder out;
  out.Bytes(kMagic).U32(kVersion).Id(identity.cluster).Id(identity.disk);
  out.U64(identity.incarnation).Id(identity.opening).Id(identity.next_opening);
  out.U8(identity.initialised ? 1 : 0);
  out.U8(static_cast<uint8_t>(identity.node.size())).Bytes(identity.node);
  std::string bytes = out.Take();
  Encoder crc;
  crc.U32(Crc32c(bytes));
  return bytes + crc.Take();
}

absl::StatusOr<DiskIdentity> DecodeIdentity(std::string_view bytes) {
  if (bytes.size() < kMagic.size() + kCrcBytes || !bytes.starts_with(kMagic)) {
    return absl::DataLossError("the disk's identity is damaged");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kCrcBytes);
  Decoder crc(bytes.substr(body.size()));
  if (crc.U32() != Crc32c(body)) return absl::DataLossError("the disk's identity is damaged");

  Decoder in(body.substr(kMagic.size()));
  const uint32_t version = in.U32();
  if (version < kOldestVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the folder was written by an older version (disk format ", version,
                     ", this program knows only ", kVersion,
                     "): run that version, or give the node an empty folder"));
  }
  if (version > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the folder was written by a newer version (disk format ", version,
                     ", this program knows ", kVersion, "): run that version, or another folder"));
  }
  DiskIdentity identity;
  identity.cluster = in.Id<ClusterId>();
  identity.disk = in.Id<DiskId>();
  identity.incarnation = in.U64();
  if (version == kOldestVersion) {
    identity.incarnation = 0;
  } else {
    identity.opening = in.Id<OpeningId>();
    identity.next_opening = in.Id<OpeningId>();
  }
  identity.initialised = in.U8() != 0;
  identity.node = std::string(in.Bytes(in.U8()));
  if (!in.done()) return absl::DataLossError("the disk's identity is damaged");
  return identity;
}

absl::StatusOr<DiskIdentity> ClaimDisk(Disk& disk, ClusterId cluster, const NodeId& node,
                                       Random& random) {
  DiskIdentity identity;
  absl::StatusOr<std::string> bytes = ReadWholeFile(disk, kFile, kMaxFileBytes);
  if (absl::IsNotFound(bytes.status())) {
    ASSIGN_OR_RETURN(identity, TakeFolder(disk, cluster, node, random));
  } else {
    RETURN_IF_ERROR(bytes.status());
    ASSIGN_OR_RETURN(identity, DecodeIdentity(*bytes));
  }
  RETURN_IF_ERROR(CheckOwner(identity, cluster, node));
  RETURN_IF_ERROR(BeginOpening(disk, identity, random));
  return identity;
}

absl::Status BeginOpening(Disk& disk, DiskIdentity& identity, Random& random) {
  // One that was begun may have been recorded, or be recorded yet.
  if (!identity.next_opening.is_nil()) return absl::OkStatus();
  DiskIdentity begun = identity;
  begun.next_opening = OpeningId::Draw(random);
  RETURN_IF_ERROR(WriteIdentity(disk, begun));
  identity = std::move(begun);
  return absl::OkStatus();
}

absl::Status EndOpening(Disk& disk, DiskIdentity& identity) {
  DiskIdentity ended = identity;
  ended.opening = std::exchange(ended.next_opening, OpeningId());
  ++ended.incarnation;
  RETURN_IF_ERROR(WriteIdentity(disk, ended));
  identity = std::move(ended);
  return absl::OkStatus();
}

absl::Status CheckDiskOwner(Disk& disk, ClusterId cluster, const NodeId& node) {
  const absl::StatusOr<std::string> bytes = ReadWholeFile(disk, kFile, kMaxFileBytes);
  if (!bytes.ok()) return absl::OkStatus();
  const absl::StatusOr<DiskIdentity> identity = DecodeIdentity(*bytes);
  if (absl::IsDataLoss(identity.status())) return absl::OkStatus();
  RETURN_IF_ERROR(identity.status());
  return CheckOwner(*identity, cluster, node);
}

absl::Status WriteIdentity(Disk& disk, const DiskIdentity& identity) {
  return WriteWholeFile(disk, kFile, EncodeIdentity(identity));
}

}  // namespace meridian::storage
