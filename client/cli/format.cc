#include "client/cli/format.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace meridian::cli {
namespace {

// The length of the UTF-8 sequence at the beginning of `text`; 0: not UTF-8.
size_t SequenceLength(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80   ? 1
                        : lead < 0xC2 ? 0
                        : lead < 0xE0 ? 2
                        : lead < 0xF0 ? 3
                        : lead < 0xF5 ? 4
                                      : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  }
  return length;
}

bool IsControl(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7F;
  // U+0080 to U+009F: what terminals take for commands too.
  return sequence.size() == 2 && first == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;
}

Json ToJson(const v1::Replica& replica) {
  Json json;
  json["id"] = replica.id();
  json["node"] = replica.node();
  json["zone"] = replica.zone();
  json["reachable"] = replica.reachable();
  json["durable_index"] = replica.durable_index();
  json["commit_index"] = replica.commit_index();
  json["applied_index"] = replica.applied_index();
  if (!replica.state_digest().empty()) json["state_digest"] = replica.state_digest();
  return json;
}

Json StringsJson(const google::protobuf::RepeatedPtrField<std::string>& strings) {
  Json json = Json::array();
  for (const std::string& string : strings) json.push_back(string);
  return json;
}

// Rounded down; 100 only when nothing is left to do.
int PercentOf(const v1::Conversion& conversion) {
  const bool by_bytes = conversion.bytes_total() > 0;
  const int64_t done = by_bytes ? conversion.bytes_done() : conversion.partitions_done();
  const int64_t total = by_bytes ? conversion.bytes_total() : conversion.partitions_total();
  if (total <= 0) return 0;
  const bool all = conversion.partitions_done() == conversion.partitions_total();
  return std::min(static_cast<int>(100 * static_cast<double>(done) / static_cast<double>(total)),
                  all ? 100 : 99);
}

std::string StateText(v1::Conversion::State state) {
  switch (state) {
    case v1::Conversion::PAUSED:
      return "paused";
    case v1::Conversion::CANCELLING:
      return "cancelling, back";
    default:
      return "running";
  }
}

Json ToJson(const v1::Conversion& conversion) {
  Json json;
  json["target"] = v1::Redundancy_Name(conversion.target());
  json["state"] = v1::Conversion::State_Name(conversion.state());
  json["percent"] = PercentOf(conversion);
  json["partitions_done"] = conversion.partitions_done();
  json["partitions_total"] = conversion.partitions_total();
  json["bytes_done"] = conversion.bytes_done();
  json["bytes_total"] = conversion.bytes_total();
  json["start_time"] = FormatTime(conversion.start_time());
  json["estimated_end_time"] = FormatTime(conversion.estimated_end_time());
  json["problem"] = conversion.problem();
  return json;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0 || IsControl(text.substr(0, length))) {
      const size_t bytes = length == 0 ? 1 : length;
      for (size_t i = 0; i < bytes; ++i) {
        out += absl::StrFormat("\\x%02x", static_cast<unsigned char>(text[i]));
      }
      text.remove_prefix(bytes);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

std::string HumanBytes(double bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrFormat("%.0f B", bytes)
                   : absl::StrFormat("%.1f %s", bytes, kUnits[unit]);
}

std::string HexCrc32c(uint32_t crc32c) { return absl::StrFormat("%08x", crc32c); }

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "";
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::string ShortName(const std::string& resource) {
  return resource.substr(resource.rfind('/') + 1);
}

std::string ConversionText(const v1::Container& container) {
  const std::string redundancy = v1::Redundancy_Name(container.redundancy());
  std::string text = ShortName(container.name()) + ": " + redundancy;
  if (!container.has_conversion()) return text + ", no conversion under way";
  const v1::Conversion& conversion = container.conversion();
  absl::StrAppendFormat(&text, " -> %s, %s, %d %%: %s of %s, %d of %d partitions",
                        v1::Redundancy_Name(conversion.target()), StateText(conversion.state()),
                        PercentOf(conversion),
                        HumanBytes(static_cast<double>(conversion.bytes_done())),
                        HumanBytes(static_cast<double>(conversion.bytes_total())),
                        conversion.partitions_done(), conversion.partitions_total());
  if (conversion.has_estimated_end_time()) {
    text += ", until about " + FormatTime(conversion.estimated_end_time());
  }
  if (!conversion.problem().empty()) text += "\n  " + Printable(conversion.problem());
  return text;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string GroupText(const v1::Group& group) {
  std::string lines =
      absl::StrFormat("%s  %s  %s %s  %s  epoch %d, leader %s", group.partition_id(),
                      group.container(), v1::Redundancy_Name(group.redundancy()), group.region(),
                      v1::Group::Health_Name(group.health()), group.epoch(),
                      group.leader_node().empty() ? std::string("none") : group.leader_node());
  for (const v1::Replica& replica : group.members()) {
    lines += absl::StrFormat("\n  %-12s ", replica.node());
    lines += replica.reachable()
                 ? absl::StrFormat("applied %d, committed %d, durable %d", replica.applied_index(),
                                   replica.commit_index(), replica.durable_index())
                 : std::string("does not answer");
    if (replica.chunks_awaited() > 0) {
      lines += absl::StrFormat(", waits for %d chunks", replica.chunks_awaited());
    }
    if (replica.chunks_without_copy() > 0) {
      lines += absl::StrFormat(", lacks %d chunks", replica.chunks_without_copy());
    }
    if (!replica.state_digest().empty()) lines += "  " + replica.state_digest();
  }
  for (const v1::Replica& replica : group.learners()) {
    lines += absl::StrFormat("\n  %-12s catching up, applied %d", replica.node(),
                             replica.applied_index());
  }
  if (!group.placement_problem().empty()) lines += "\n  " + Printable(group.placement_problem());
  for (const v1::GroupRecovery& recovery : group.recoveries()) {
    lines += "\n  " + RecoveryText(recovery);
  }
  return lines;
}

Json ToJson(const v1::Tenant& tenant) {
  Json json;
  json["name"] = tenant.name();
  json["uid"] = tenant.uid();
  json["display_name"] = tenant.display_name();
  json["create_time"] = FormatTime(tenant.create_time());
  return json;
}

Json ToJson(const v1::AccessKey& key) {
  Json json;
  json["name"] = key.name();
  json["display_name"] = key.display_name();
  json["create_time"] = FormatTime(key.create_time());
  if (key.has_revoke_time()) json["revoke_time"] = FormatTime(key.revoke_time());
  return json;
}

Json ToJson(const v1::Container& container) {
  Json json;
  json["name"] = container.name();
  json["uid"] = container.uid();
  json["redundancy"] = v1::Redundancy_Name(container.redundancy());
  json["home_region"] = container.home_region();
  json["versioning"] = container.versioning() == v1::VERSIONING_ON;
  json["create_time"] = FormatTime(container.create_time());
  if (container.has_conversion()) json["conversion"] = ToJson(container.conversion());
  return json;
}

Json ToJson(const v1::Object& object) {
  Json json;
  json["container"] = object.container();
  json["name"] = object.name();
  json["version_id"] = object.version_id();
  json["etag"] = object.etag();
  json["size_bytes"] = object.size_bytes();
  json["crc32c"] = HexCrc32c(object.crc32c());
  json["content_type"] = object.content_type();
  json["metadata"] = Json::object();
  for (const auto& [key, value] : object.metadata()) json["metadata"][key] = value;
  json["create_time"] = FormatTime(object.create_time());
  if (object.delete_marker()) json["delete_marker"] = true;
  if (object.latest()) json["latest"] = true;
  return json;
}

Json ToJson(const v1::Disk& disk) {
  const v1::DiskScrub& scrub = disk.scrub();
  Json json{{"id", disk.id()},
            {"capacity_bytes", disk.capacity_bytes()},
            {"free_bytes", disk.free_bytes()},
            {"body_bytes", disk.body_bytes()},
            {"in_service", disk.in_service()},
            {"corrupt_records", disk.corrupt_records()},
            {"repaired_records", disk.repaired_records()}};
  json["scrub"] = Json{{"bytes_per_second", scrub.bytes_per_second()},
                       {"running", scrub.running()},
                       {"progress", scrub.progress()},
                       {"pass_begin_time", FormatTime(scrub.pass_begin_time())},
                       {"last_pass_end_time", FormatTime(scrub.last_pass_end_time())},
                       {"verified_bytes", scrub.verified_bytes()},
                       {"corrupt_records", scrub.corrupt_records()},
                       {"previous_corrupt_records", scrub.previous_corrupt_records()},
                       {"awaiting_repair", scrub.awaiting_repair()},
                       {"problem", scrub.problem()}};
  return json;
}

Json ToJson(const v1::Node& node) {
  Json json;
  json["name"] = node.name();
  json["region"] = node.region();
  json["zone"] = node.zone();
  json["state"] = v1::Node::State_Name(node.state());
  json["endpoint"] = node.endpoint();
  json["leader_count"] = node.leader_count();
  json["replica_count"] = node.replica_count();
  json["newest_format_version"] = node.newest_format_version();
  json["problem"] = node.problem();
  json["disks"] = Json::array();
  for (const v1::Disk& disk : node.disks()) {
    json["disks"].push_back(ToJson(disk));
  }
  return json;
}

Json ToJson(const v1::Group& group) {
  Json json;
  json["partition_id"] = group.partition_id();
  json["container"] = group.container();
  json["redundancy"] = v1::Redundancy_Name(group.redundancy());
  json["region"] = group.region();
  json["epoch"] = group.epoch();
  json["leader_node"] = group.leader_node();
  json["health"] = v1::Group::Health_Name(group.health());
  json["members"] = Json::array();
  for (const v1::Replica& replica : group.members()) json["members"].push_back(ToJson(replica));
  json["learners"] = Json::array();
  for (const v1::Replica& replica : group.learners()) json["learners"].push_back(ToJson(replica));
  json["recoveries"] = Json::array();
  for (const v1::GroupRecovery& recovery : group.recoveries()) {
    json["recoveries"].push_back(ToJson(recovery));
  }
  if (group.has_comparison()) {
    const v1::GroupComparison& comparison = group.comparison();
    json["comparison"] =
        Json{{"pass_begin_time", FormatTime(comparison.pass_begin_time())},
             {"last_compared_time", FormatTime(comparison.last_compared_time())},
             {"differing_replicas", StringsJson(comparison.differing_replicas())},
             {"uncompared_replicas", StringsJson(comparison.uncompared_replicas())}};
  }
  return json;
}

}  // namespace meridian::cli
