#include <gtest/gtest.h>

#include "client/cli/exit_code.h"
#include "client/cli/format.h"

namespace meridian::cli {
namespace {

TEST(Printable, LetsNoNameSteerATerminal) {
  EXPECT_EQ(Printable("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(Printable("\033[2Jx\n"), "\\x1b[2Jx\\x0a");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\xc2\\x9b");
  EXPECT_EQ(Printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Printable(std::string("\0", 1)), "\\x00");
}

TEST(HumanBytes, ChoosesTheUnit) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(3.0 * (1 << 30)), "3.0 GiB");
}

TEST(ConversionText, TellsHowFarItIs) {
  v1::Container container;
  container.set_name("tenants/t/containers/c");
  container.set_redundancy(v1::LRS);
  EXPECT_EQ(ConversionText(container), "c: LRS, no conversion under way");
  v1::Conversion& conversion = *container.mutable_conversion();
  conversion.set_target(v1::ZRS);
  conversion.set_state(v1::Conversion::RUNNING);
  EXPECT_EQ(ConversionText(container),
            "c: LRS -> ZRS, running, 0 %: 0 B of 0 B, 0 of 0 partitions");
  conversion.set_partitions_total(3);
  conversion.set_bytes_done(3 << 20);
  conversion.set_bytes_total(3 << 20);
  EXPECT_EQ(ToJson(container)["conversion"]["percent"], 99) << "something is left to do";
  conversion.set_bytes_done(1 << 20);
  conversion.set_partitions_done(1);
  conversion.set_state(v1::Conversion::PAUSED);
  conversion.mutable_estimated_end_time()->set_seconds(1769860800);
  conversion.set_problem("no\nroom");
  EXPECT_EQ(ConversionText(container),
            "c: LRS -> ZRS, paused, 33 %: 1.0 MiB of 3.0 MiB, 1 of 3 partitions, until about "
            "2026-01-31T12:00:00Z\n  no\\x0aroom");
}

TEST(Names, AreShortened) {
  EXPECT_EQ(ShortName("tenants/t/containers/c"), "c");
  EXPECT_EQ(ShortName("c"), "c");
}

TEST(FormatTime, IsRfc3339InUtc) {
  google::protobuf::Timestamp time;
  EXPECT_EQ(FormatTime(time), "");
  time.set_seconds(1'000'000'000);
  EXPECT_EQ(FormatTime(time), "2001-09-09T01:46:40Z");
}

TEST(ExitCode, TellsScriptsWhatToDo) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::DataLossError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::UnauthenticatedError("")), 4);
  EXPECT_EQ(ExitCodeOf(absl::AlreadyExistsError("")), 5);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 6);
}

TEST(Errors, AreOneJsonDocument) {
  const Json json = Json::parse(ErrorJson(absl::NotFoundError("no \"x\"\xff")));
  EXPECT_EQ(json["error"]["code"], "NOT_FOUND");
  EXPECT_EQ(json["error"]["message"], "no \"x\"\xEF\xBF\xBD");
  EXPECT_EQ(json["error"]["request_id"], "");
}

TEST(Errors, TellTheRequestIdOfWhatTheUserCannotMend) {
  const auto with_id = [](absl::Status status) {
    status.SetPayload("meridian/request-id", absl::Cord("0af7"));
    return status;
  };
  EXPECT_EQ(Json::parse(ErrorJson(with_id(absl::NotFoundError("x"))))["error"]["request_id"],
            "0af7");
  EXPECT_EQ(ErrorText(with_id(absl::InternalError("broken"))),
            "meridian: broken\n  request id: 0af7");
  EXPECT_EQ(ErrorText(with_id(absl::NotFoundError("no x"))), "meridian: no x");
}

v1::RecoverGroupResponse LostPlan() {
  v1::RecoverGroupResponse plan;
  plan.set_epoch(7);
  plan.set_survivor("cc");
  v1::RecoveryMember& lost = *plan.add_members();
  lost.set_id("aa");
  lost.set_node("a");
  lost.set_is_gone(true);
  lost.set_problem("down");
  v1::RecoveryMember& survivor = *plan.add_members();
  survivor.set_id("cc");
  survivor.set_node("c");
  survivor.set_answers(true);
  plan.add_lost_nodes("a");
  return plan;
}

// A node that is not announced may be one that starts again, or one that is cut off.
TEST(RecoveryPlanText, PromisesNobodyThatALostMemberDoesNotRun) {
  const std::string text = RecoveryPlanText("p", LostPlan());
  EXPECT_EQ(text.find("does not run"), std::string::npos) << text;
  EXPECT_NE(text.find("Nothing is lost yet"), std::string::npos) << text;
  EXPECT_NE(text.find("by the clock of its leader"), std::string::npos) << text;
  EXPECT_NE(text.find("plan p/7/cc"), std::string::npos) << text;
}

TEST(RecoveryPlanText, OffersToBeginAnewOnlyWhereNobodyIsLeft) {
  v1::RecoverGroupResponse plan = LostPlan();
  plan.clear_survivor();
  plan.set_refusal("nobody is whole");
  EXPECT_EQ(RecoveryPlanText("p", plan).find("--begin-empty"), std::string::npos);
  plan.set_may_begin_empty(true);
  const std::string text = RecoveryPlanText("p", plan);
  EXPECT_NE(text.find("ALL THAT IT EVER HELD"), std::string::npos) << text;
  EXPECT_NE(text.find("--lost a --accept-data-loss --begin-empty everything-is-lost"),
            std::string::npos)
      << text;
}

TEST(RecoveryText, TellsWhetherAGroupWentOnOrBeganAnew) {
  v1::GroupRecovery recovery;
  recovery.set_survivor_node("c");
  EXPECT_NE(RecoveryText(recovery).find("goes on with the log of c"), std::string::npos);
  recovery.set_began_empty(true);
  EXPECT_NE(RecoveryText(recovery).find("without anything, on c"), std::string::npos);
  recovery.set_begins_with("pp");
  EXPECT_NE(RecoveryText(recovery).find("what partition pp still had"), std::string::npos);
}

TEST(RecoveryPlanText, OffersNothingWhereItIsRefused) {
  v1::RecoverGroupResponse plan = LostPlan();
  plan.set_refusal("a quorum answers");
  const std::string text = RecoveryPlanText("p", plan);
  EXPECT_EQ(text.find("--accept-data-loss"), std::string::npos) << text;
  EXPECT_EQ(text.find("plan p/7/cc"), std::string::npos) << text;
}

}  // namespace
}  // namespace meridian::cli
