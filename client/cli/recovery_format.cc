// How the recovery of a group looks.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/format.h"

namespace meridian::cli {
namespace {

std::string RoleOf(const v1::RecoveryMember& member) {
  if (member.votes()) return member.voted_before() ? "member, before and after" : "member";
  return member.voted_before() ? "member before" : "learner";
}

std::string TimeOrNone(const google::protobuf::Timestamp& time) {
  const std::string text = FormatTime(time);
  return text.empty() ? "no time" : text;
}

std::string StateOf(const v1::RecoveryMember& member) {
  if (!member.answers()) {
    return absl::StrCat(member.is_gone() ? "does not answer, its disk is not announced: "
                                         : "does not answer, MAY RUN: ",
                        Printable(member.problem()));
  }
  std::string text = absl::StrFormat(
      "answers, log ends at %d in epoch %d of %s, committed %d, applied %d of %s, promised epoch "
      "%d",
      member.last_index(), member.last_epoch(), TimeOrNone(member.last_entry_time()),
      member.commit_index(), member.applied_index(), TimeOrNone(member.applied_time()),
      member.epoch());
  if (member.installing()) {
    text += ", NOT WHOLE: is being installed";
  } else if (member.last_index() == 0) {
    text += ", NOT WHOLE: has nothing yet";
  }
  if (member.chunks_without_copy() > 0) {
    text += absl::StrFormat(", lacks %d chunks", member.chunks_without_copy());
  }
  return text;
}

// Times only ever rise along a log (P14): what is behind its end is younger than that, by the
// clocks of those who wrote it.
std::string MayBeMissing(const v1::RecoverGroupResponse& plan, const v1::RecoveryMember& survivor) {
  std::string text = absl::StrFormat(
      "MAY BE MISSING: every write, delete and change that was acknowledged after %s, by the clock "
      "of its leader, and is not in the survivor's log; how many, only the lost members know",
      TimeOrNone(survivor.last_entry_time()));
  if (plan.known_missing_entries() > 0) {
    text += absl::StrFormat("; at least %d are", plan.known_missing_entries());
  }
  if (survivor.chunks_without_copy() > 0) {
    text += absl::StrFormat(
        "; also the bodies that %d chunks belong to, unless another replica has them",
        survivor.chunks_without_copy());
  }
  return text;
}

Json ToJson(const v1::RecoveryMember& member) {
  return Json{{"id", member.id()},
              {"node", member.node()},
              {"disk_id", member.disk_id()},
              {"votes", member.votes()},
              {"voted_before", member.voted_before()},
              {"answers", member.answers()},
              {"problem", member.problem()},
              {"is_gone", member.is_gone()},
              {"installing", member.installing()},
              {"epoch", member.epoch()},
              {"last_epoch", member.last_epoch()},
              {"last_index", member.last_index()},
              {"last_entry_time", FormatTime(member.last_entry_time())},
              {"commit_index", member.commit_index()},
              {"applied_index", member.applied_index()},
              {"applied_time", FormatTime(member.applied_time())},
              {"chunks_without_copy", member.chunks_without_copy()}};
}

std::string BeginningText(const v1::RecoverGroupResponse& plan) {
  return absl::StrCat(
      "\n  Nothing is lost yet, and nothing was changed: each of these disks that comes back is "
      "what the partition held. If none will, and the nodes are off, its names can be used again, "
      "ALL THAT IT EVER HELD being given up for good, by --lost ",
      absl::StrJoin(plan.lost_nodes(), ","), " --accept-data-loss --begin-empty ",
      kEverythingIsLost);
}

}  // namespace

std::string RecoveryText(const v1::GroupRecovery& recovery) {
  std::string lost;
  for (const v1::LostReplica& one : recovery.given_up()) {
    if (one.lost()) absl::StrAppend(&lost, lost.empty() ? "" : ", ", one.node());
  }
  if (recovery.began_empty()) {
    return absl::StrFormat(
        "BEGAN ANEW at %s in epoch %d by key %s, %s: all that the group held is given up; lost: %s",
        FormatTime(recovery.time()), recovery.epoch(), recovery.access_key_id(),
        recovery.begins_with().empty()
            ? "without anything, on " + recovery.survivor_node()
            : "with what partition " + recovery.begins_with() + " still had of its names",
        lost);
  }
  return absl::StrFormat(
      "RECOVERED WITHOUT A QUORUM at %s in epoch %d by key %s: goes on with the log of %s, which "
      "ended at %d of %s; lost: %s",
      FormatTime(recovery.time()), recovery.epoch(), recovery.access_key_id(),
      recovery.survivor_node(), recovery.last_index(), TimeOrNone(recovery.last_entry_time()),
      lost);
}

std::string RecoveryPlanToken(const std::string& partition, const v1::RecoverGroupResponse& plan) {
  return absl::StrCat(partition, "/", plan.epoch(), "/", plan.survivor());
}

std::string RecoveryPlanText(const std::string& partition, const v1::RecoverGroupResponse& plan) {
  std::string text = absl::StrFormat("%s  %s  epoch %d", partition, plan.container(), plan.epoch());
  const v1::RecoveryMember* survivor = nullptr;
  for (const v1::RecoveryMember& member : plan.members()) {
    if (member.id() == plan.survivor()) survivor = &member;
    absl::StrAppendFormat(&text, "\n  %-12s replica %s, disk %s, %s\n    %s", member.node(),
                          member.id(), member.disk_id(), RoleOf(member), StateOf(member));
  }
  if (survivor != nullptr) {
    absl::StrAppend(&text, "\n  survivor: ", survivor->node(), ", replica ", survivor->id(),
                    ": of those that answer and are whole, the one whose log ends last\n  ",
                    MayBeMissing(plan, *survivor));
  }
  for (const std::string& note : plan.notes()) absl::StrAppend(&text, "\n  ", Printable(note));
  if (plan.has_recovery()) {
    absl::StrAppend(&text, "\n  ", RecoveryText(plan.recovery()));
  } else if (!plan.refusal().empty()) {
    absl::StrAppend(&text, "\n  cannot be recovered now: ", Printable(plan.refusal()));
    if (plan.may_begin_empty()) absl::StrAppend(&text, BeginningText(plan));
  } else {
    absl::StrAppend(&text,
                    "\n  Nothing is lost yet, and nothing was changed: each of these disks that "
                    "comes back makes the group go on. If none will, and the nodes are off, what "
                    "only ",
                    absl::StrJoin(plan.lost_nodes(), " and "),
                    " had is given up for good by --lost ", absl::StrJoin(plan.lost_nodes(), ","),
                    " --accept-data-loss\n  plan ", RecoveryPlanToken(partition, plan));
  }
  return text;
}

Json ToJson(const v1::GroupRecovery& recovery) {
  Json json{{"time", FormatTime(recovery.time())},
            {"access_key_id", recovery.access_key_id()},
            {"epoch", recovery.epoch()},
            {"survivor", recovery.survivor()},
            {"survivor_node", recovery.survivor_node()},
            {"last_epoch", recovery.last_epoch()},
            {"last_index", recovery.last_index()},
            {"last_entry_time", FormatTime(recovery.last_entry_time())},
            {"began_empty", recovery.began_empty()},
            {"begins_with", recovery.begins_with()}};
  json["given_up"] = Json::array();
  for (const v1::LostReplica& one : recovery.given_up()) {
    json["given_up"].push_back(
        {{"id", one.id()}, {"node", one.node()}, {"disk_id", one.disk_id()}, {"lost", one.lost()}});
  }
  return json;
}

Json ToJson(const v1::RecoverGroupResponse& plan) {
  Json json{{"container", plan.container()},
            {"epoch", plan.epoch()},
            {"survivor", plan.survivor()},
            {"refusal", plan.refusal()},
            {"known_missing_entries", plan.known_missing_entries()},
            {"may_begin_empty", plan.may_begin_empty()}};
  json["members"] = Json::array();
  for (const v1::RecoveryMember& member : plan.members()) json["members"].push_back(ToJson(member));
  json["lost_nodes"] = Json::array();
  for (const std::string& node : plan.lost_nodes()) json["lost_nodes"].push_back(node);
  json["notes"] = Json::array();
  for (const std::string& note : plan.notes()) json["notes"].push_back(note);
  if (plan.has_recovery()) json["recovery"] = ToJson(plan.recovery());
  return json;
}

}  // namespace meridian::cli
