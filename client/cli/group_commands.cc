#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

struct RecoverOptions {
  std::string group;
  bool all = false;
  std::vector<std::string> lost;
  std::string plan;
  bool accept_data_loss = false;
  std::string begin_empty;
  uint64_t acknowledge = 0;  // 0: none
};

absl::Status List(Context& context, bool recovered) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  PageIterator<v1::Group> groups = admin->ListGroups({}, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Group> group, groups.Next());
    if (!group) return absl::OkStatus();
    if (recovered && group->recoveries().empty()) continue;
    context.Print(GroupText(*group), Json{{"group", ToJson(*group)}});
  }
}

void PrintPlan(Context& context, const std::string& group, const v1::RecoverGroupResponse& plan) {
  context.Print(RecoveryPlanText(group, plan), Json{{"partition_id", group},
                                                    {"plan", ToJson(plan)},
                                                    {"token", RecoveryPlanToken(group, plan)}});
}

// What was shown is what is done, or nothing is.
absl::Status Accept(Context& context, const std::string& group,
                    const v1::RecoverGroupResponse& shown, const std::vector<std::string>& lost,
                    bool begin_empty) {
  if (begin_empty != shown.may_begin_empty() || (!begin_empty && !shown.refusal().empty())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "group ", group, ": ",
        begin_empty ? "it is not without a survivor, or not without members that may run: " : "",
        shown.refusal()));
  }
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  v1::RecoverGroupRequest request;
  request.set_partition_id(group);
  request.set_accept_data_loss(true);
  request.set_epoch(shown.epoch());
  request.set_survivor(shown.survivor());
  request.set_begin_empty(begin_empty);
  for (const std::string& node : lost) request.add_lost_nodes(node);
  ASSIGN_OR_RETURN(const v1::RecoverGroupResponse done,
                   admin->RecoverGroup(request, context.call_options()));
  context.Print(absl::StrCat("group ", group, ": ", RecoveryText(done.recovery())),
                Json{{"partition_id", group}, {"recovery", ToJson(done.recovery())}});
  return absl::OkStatus();
}

absl::Status RecoverOne(Context& context, const RecoverOptions& options) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  v1::RecoverGroupRequest request;
  request.set_partition_id(options.group);
  request.set_acknowledge(options.acknowledge != 0);
  request.set_epoch(options.acknowledge);
  ASSIGN_OR_RETURN(const v1::RecoverGroupResponse shown,
                   admin->RecoverGroup(request, context.call_options()));
  if (options.acknowledge != 0) {
    context.Print(absl::StrCat("group ", options.group, ": its recoveries up to that of epoch ",
                               options.acknowledge, " are not shown any more"),
                  Json{{"acknowledged", options.group}, {"epoch", options.acknowledge}});
    return absl::OkStatus();
  }
  PrintPlan(context, options.group, shown);
  if (!options.accept_data_loss) return absl::OkStatus();
  return Accept(context, options.group, shown, options.lost, !options.begin_empty.empty());
}

bool Contains(const std::vector<std::string>& nodes, const std::string& node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// Lost by the named nodes and no others, with the survivor that the operator has seen, which is not
// on a node that is given up.
absl::Status CheckAccepted(const std::string& group, const v1::RecoverGroupResponse& plan,
                           const std::vector<std::string>& lost, const std::string& seen) {
  if (!plan.refusal().empty()) return absl::OkStatus();  // Accept tells it
  for (const std::string& node : plan.lost_nodes()) {
    if (!Contains(lost, node)) {
      return absl::FailedPreconditionError(
          "members on other nodes than those given up do not answer");
    }
  }
  for (const v1::RecoveryMember& member : plan.members()) {
    if (member.id() == plan.survivor() && Contains(lost, member.node())) {
      return absl::FailedPreconditionError(
          absl::StrCat("its survivor is on ", member.node(), ", which is given up"));
    }
  }
  if (absl::StrContains(seen, RecoveryPlanToken(group, plan))) return absl::OkStatus();
  return absl::FailedPreconditionError("it is not as it was when the plan was made: look again");
}

absl::StatusOr<std::string> ReadPlan(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read the plan ", path));
  }
  return std::move(text).str();
}

// Each group that serves nobody: looked at, and recovered or told why not, whatever becomes of the
// others.
absl::Status RecoverAll(Context& context, const RecoverOptions& options) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  std::string plan;
  if (options.accept_data_loss) {
    ASSIGN_OR_RETURN(plan, ReadPlan(options.plan));
  }
  std::vector<std::string> failed;
  size_t seen = 0;
  PageIterator<v1::Group> groups = admin->ListGroups({}, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Group> group, groups.Next());
    if (!group) break;
    if (group->health() != v1::Group::UNAVAILABLE) continue;
    ++seen;
    const std::string& id = group->partition_id();
    v1::RecoverGroupRequest request;
    request.set_partition_id(id);
    const auto shown = admin->RecoverGroup(request, context.call_options());
    absl::Status status = shown.status();
    if (shown.ok()) PrintPlan(context, id, *shown);
    if (shown.ok() && options.accept_data_loss) {
      status = CheckAccepted(id, *shown, options.lost, plan);
      if (status.ok()) {
        status =
            Accept(context, id, *shown, {shown->lost_nodes().begin(), shown->lost_nodes().end()},
                   /*begin_empty=*/false);
      }
    }
    if (status.ok()) continue;
    failed.push_back(id);
    context.err() << "group " << id << ": " << Printable(std::string(status.message())) << "\n";
  }
  if (!failed.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(failed.size(), " of ", seen,
                     " groups without a leader were not recovered; those that are "
                     "being split off need the others first: look at them again in a while"));
  }
  if (seen == 0) context.Print("every group has a leader", Json{{"groups", 0}});
  return absl::OkStatus();
}

absl::Status Recover(Context& context, const RecoverOptions& options) {
  if (options.all == !options.group.empty()) {
    return absl::InvalidArgumentError("give a GROUP, or --all");
  }
  if (options.accept_data_loss && options.lost.empty()) {
    return absl::InvalidArgumentError(
        "--accept-data-loss needs --lost NODE[,NODE]: the nodes whose members are given up");
  }
  if (!options.accept_data_loss && !options.lost.empty()) {
    return absl::InvalidArgumentError("--lost gives members up: only with --accept-data-loss");
  }
  if (options.all && options.accept_data_loss && options.plan.empty()) {
    return absl::InvalidArgumentError(
        "--all with --accept-data-loss needs --plan FILE: what this command printed without it");
  }
  if (!options.plan.empty() && !(options.all && options.accept_data_loss)) {
    return absl::InvalidArgumentError("--plan is for --all with --accept-data-loss");
  }
  if (!options.begin_empty.empty() &&
      (options.all || !options.accept_data_loss || options.begin_empty != kEverythingIsLost)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--begin-empty gives up all that a partition ever held: only for one GROUP, with "
        "--accept-data-loss, and its value has to be ",
        kEverythingIsLost));
  }
  if (options.acknowledge != 0 && (options.all || options.accept_data_loss)) {
    return absl::InvalidArgumentError("--acknowledge is for a GROUP, after its recovery");
  }
  return options.all ? RecoverAll(context, options) : RecoverOne(context, options);
}

}  // namespace

void AddGroupCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("group", "The partitions' groups (administrator)");
  group->require_subcommand(1);
  auto recovered = std::make_shared<bool>(false);
  CLI::App* ls = group->add_subcommand("ls", "Groups: id, container, health, replicas");
  ls->add_flag("--recovered", *recovered,
               "Only those that went on without a quorum, until that is acknowledged");
  ls->callback([&context, recovered] {
    context.run = [&context, recovered] { return List(context, *recovered); };
  });
  auto options = std::make_shared<RecoverOptions>();
  CLI::App* recover = group->add_subcommand(
      "recover",
      "For a group that has lost a quorum of its members for good: show who is left and what may "
      "be missing; with --accept-data-loss, go on with the survivor's log alone");
  recover->add_option("GROUP", options->group, "Its id, as `meridian group ls` shows it");
  recover->add_flag("--all", options->all, "Every group that has no leader");
  recover
      ->add_option("--lost", options->lost,
                   "With --accept-data-loss: the nodes of all members that do not answer, no more "
                   "and no fewer; with --all, of groups that lost members on these nodes only")
      ->delimiter(',');
  recover->add_option("--plan", options->plan,
                      "With --all and --accept-data-loss: a file with what `group recover --all` "
                      "printed; a group that is not as it was then is left alone");
  recover->add_flag("--accept-data-loss", options->accept_data_loss,
                    "Do it. What only the lost members had is gone, acknowledged or not. There is "
                    "no way back");
  recover->add_option("--begin-empty", options->begin_empty,
                      "With --accept-data-loss, for a group of which nobody is left: the partition "
                      "begins anew, without anything that it ever held");
  recover
      ->add_option("--acknowledge", options->acknowledge,
                   "Show the group's recoveries up to that of this epoch no more, after what they "
                   "mean was dealt with: the epoch of the newest that was seen")
      ->check(CLI::PositiveNumber);
  recover->callback([&context, options] {
    context.run = [&context, options] { return Recover(context, *options); };
  });
}

}  // namespace meridian::cli
