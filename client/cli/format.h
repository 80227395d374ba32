// How things look on a terminal and in JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "google/protobuf/timestamp.pb.h"
#include "meridian/v1/access_keys.pb.h"
#include "meridian/v1/cluster.pb.h"
#include "meridian/v1/containers.pb.h"
#include "meridian/v1/objects.pb.h"
#include "meridian/v1/tenants.pb.h"

namespace meridian::cli {

using Json = nlohmann::ordered_json;

// Control characters and bytes that are not UTF-8 as \xNN, so that a name cannot steer a terminal.
std::string Printable(std::string_view text);
// "512 B", "1.5 MiB".
std::string HumanBytes(double bytes);
// 1a2b3c4d.
std::string HexCrc32c(uint32_t crc32c);
// 2026-01-31T12:00:00Z; empty if not set.
std::string FormatTime(const google::protobuf::Timestamp& time);
// The last segment of a resource name.
std::string ShortName(const std::string& resource);
// One line; bytes that are not UTF-8 are replaced.
std::string Dump(const Json& json);

// How far a container's conversion is, or that it has none: "files: LRS -> ZRS, running, 42 % ...".
std::string ConversionText(const v1::Container& container);

// A group and its replicas, a line each; its recoveries, until they are acknowledged.
std::string GroupText(const v1::Group& group);
// That it went on without a quorum, and what that means.
std::string RecoveryText(const v1::GroupRecovery& recovery);
// Who is left of a group, what it would go on with, and what may be missing then.
std::string RecoveryPlanText(const std::string& partition, const v1::RecoverGroupResponse& plan);

// What an operator has to write out to have a partition begin anew.
inline constexpr char kEverythingIsLost[] = "everything-is-lost";

// Names what such a plan says would be done, "PARTITION/EPOCH/SURVIVOR"; is in its text and JSON.
std::string RecoveryPlanToken(const std::string& partition, const v1::RecoverGroupResponse& plan);

Json ToJson(const v1::Tenant& tenant);
Json ToJson(const v1::AccessKey& key);
Json ToJson(const v1::Container& container);
Json ToJson(const v1::Object& object);
Json ToJson(const v1::Disk& disk);
Json ToJson(const v1::Node& node);
Json ToJson(const v1::Group& group);
Json ToJson(const v1::GroupRecovery& recovery);
Json ToJson(const v1::RecoverGroupResponse& plan);

}  // namespace meridian::cli
