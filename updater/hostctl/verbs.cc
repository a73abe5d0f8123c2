#include "updater/hostctl/verbs.h"

#include <algorithm>
#include <filesystem>
#include <format>

#include "updater/base/mask.h"
#include "updater/base/printable.h"
#include "updater/engine/gate.h"
#include "updater/engine/post_mortem.h"
#include "updater/engine/probation.h"
#include "updater/engine/releases.h"
#include "updater/engine/rescue.h"
#include "updater/engine/rollback.h"
#include "updater/engine/selftest.h"
#include "updater/engine/status.h"
#include "updater/engine/update.h"
#include "updater/hostctl/failure.h"
#include "updater/hostctl/interrupt.h"
#include "updater/hostctl/json.h"
#include "updater/hostctl/lock_holder.h"
#include "updater/hostctl/metrics.h"
#include "updater/hostctl/text.h"
#include "updater/hostctl/update_request.h"

namespace hostos {
namespace {

constexpr int kError = 3, kWarning = 4, kNotice = 5, kInfo = 6;  // syslog(3)
constexpr Milliseconds kHealthLimit = Seconds(120);  // one round of all checks in `hostctl health`

constexpr Verb kReading[] = {Verb::kStatus, Verb::kHealth, Verb::kHistory};  // these change nothing

// The only check of a trial whose configuration cannot be read: it fails, and nothing else needs a
// look.
class BrokenConfigHealth : public Health {
 public:
  explicit BrokenConfigHealth(const Error& problem) : problem_(problem) {}
  std::vector<CheckResult> Round(Milliseconds) override {
    return {{.name = "config", .detail = problem_.message}};
  }

 private:
  const Error& problem_;
};

class Runner {
 public:
  Runner(const Invocation& invocation, World& world, const Config& config, const Error* problem,
         Console& console)
      : invocation_(invocation),
        world_(world),
        config_(config),
        problem_(problem),
        console_(console) {}

  Result<ExitCode> Run() {
    const Verb verb = invocation_.command->verb;
    if (problem_ && verb != Verb::kStatus && verb != Verb::kGate) return std::unexpected(*problem_);
    switch (verb) {
      case Verb::kStatus:
        return RunStatus();
      case Verb::kUpdate:
        return invocation_.check || invocation_.plan ? RunPlan() : RunUpdate();
      case Verb::kRollback:
        return RunRollback();
      case Verb::kHealth:
        return RunHealth();
      case Verb::kHistory:
        return RunHistory();
      case Verb::kVerify:
        return RunVerify();
      case Verb::kGate:
        return RunTrialGate();
      case Verb::kProbation:
        return RunProbation();
      case Verb::kRecount:
        return RunRecount();
      case Verb::kRescue:
        return RunRescue();
      case Verb::kSelfTest:
        return RunSelfTest();
      case Verb::kOwn:
        return RunOwn();
      case Verb::kSbom:  // these take no machine
      case Verb::kHelp:
        break;
    }
    return ExitCode::kFailed;
  }

  // What a failure left behind, when the verb could have changed something.
  const std::string& left() const { return left_; }

 private:
  Result<ExitCode> RunStatus();
  Result<CheckView> Check();
  Result<PlanView> Plan();
  Result<ExitCode> RunPlan();
  Result<ExitCode> RunUpdate();
  Result<ExitCode> RunRollback();
  Result<ExitCode> RunHealth();
  Result<ExitCode> RunHistory();
  Result<ExitCode> RunVerify();
  Result<ExitCode> RunTrialGate();
  Result<ExitCode> RunProbation();
  Result<ExitCode> RunRecount();
  Result<ExitCode> RunRescue();
  Result<ExitCode> RunSelfTest();
  Result<ExitCode> RunOwn();

  // Whatever can be read of the record, even while another process changes it.
  Record ReadRecord(std::vector<std::string>* problems) const;
  Result<std::string> RunningVersion();
  // For a check, kNothingToDo and kRefused are findings, not failures.
  static bool IsFinding(const Error& error) {
    return error.code == Code::kNothingToDo || error.code == Code::kRefused;
  }
  CheckView FindingOf(const Error& error, std::string running) const;
  void Remember(Slot slot, const Verification& verification);

  UpdateOptions Options() const { return OptionsOf(invocation_, config_); }
  void Print(const std::string& text) {
    if (!invocation_.quiet) console_.out << text;
  }
  void Log(int level, std::string_view line) {
    console_.err << (console_.journal ? std::format("<{}>", level) : "") << Printable(line) << "\n";
  }
  // The remaining keys decide. Naming the unused ones here saves a search when a signature is
  // missing.
  void NameUnusedKeys() {
    for (const std::string& problem : ReadTrustedKeys(config_.keys).problems)
      Log(kWarning, "a key is not used: " + problem);
  }
  Result<ExitCode> Reboot() {
    TRY_CONTEXT("reboot", world_.power.Reboot());
    Print("Rebooting now.\n");
    return ExitCode::kDone;
  }

  const Invocation& invocation_;
  World& world_;
  const Config& config_;
  const Error* problem_;
  Console& console_;
  std::string left_;
};

Result<ExitCode> Runner::RunStatus() {
  StatusView view;
  view.status = TRY(ReadStatus(world_));
  view.now = world_.clock.Now();
  view.lock_holder = LockHolder(world_.state.path() + "/lock");
  if (problem_) view.problems.push_back("configuration: " + problem_->message);
  for (const std::string& problem : ReadTrustedKeys(config_.keys).problems)
    view.problems.push_back("key: " + problem);
  std::ranges::copy(view.status.problems, std::back_inserter(view.problems));
  if (view.status.etc_in_memory)
    view.problems.emplace_back(
        "/etc: at boot there was no room for it on the state partition: what is changed in it is "
        "lost at the next boot. Make room, then reboot");
  for (const std::string& twin : view.status.twins) view.problems.push_back(TwinText(twin));
  view.history = ReadRecord(nullptr).history;
  view.post_mortems = ReadPostMortems(world_, &view.problems);
  Print(invocation_.json  ? StatusJson(view)
        : invocation_.why ? WhyText(view, console_.paint)
                          : StatusText(view, console_.paint));
  return problem_ ? ExitCodeOf(problem_->code) : ExitOf(view);
}

Record Runner::ReadRecord(std::vector<std::string>* problems) const {
  const RecordFile& file = world_.state.record();
  Result<Record> read = file.Load();
  if (read) return *std::move(read);
  if (problems) problems->push_back("record: " + read.error().message);
  return file.Salvage();
}

Result<std::string> Runner::RunningVersion() {
  return TRY(ReadStatus(world_)).version;
}

CheckView Runner::FindingOf(const Error& error, std::string running) const {
  bool refused = error.code == Code::kRefused;
  return {.finding = refused ? Finding::kRefused : Finding::kNothingToDo,
          .message = error.message,
          .running = std::move(running),
          .target = {}};
}

Result<CheckView> Runner::Check() {
  const Status status = TRY(ReadStatus(world_));
  Result<Target> target = CheckForUpdate(world_, Options());
  if (!target && IsFinding(target.error())) return FindingOf(target.error(), status.version);
  CheckView view{.message = {}, .running = status.version, .target = {}};
  view.target = TRY(std::move(target));
  if (status.update && status.update->phase == Phase::kArmed &&
      status.update->target.commit == view.target->release.commit)
    view.finding = Finding::kStaged;
  return view;
}

Result<PlanView> Runner::Plan() {
  PlanView view{.tries = config_.tries,
                .health = config_.health,
                .ignore_health = invocation_.ignore_health,
                .allow_metered = invocation_.allow_metered};
  if (!invocation_.from) view.rate_limit = config_.rate_limit;
  std::string running = TRY(RunningVersion());
  Result<UpdatePlan> plan = PlanUpdate(world_, Options());
  if (!plan && IsFinding(plan.error())) {
    view.check = FindingOf(plan.error(), std::move(running));
    return view;
  }
  view.plan = TRY(std::move(plan));
  view.check = {.finding = view.plan->staged ? Finding::kStaged : Finding::kAvailable,
                .message = {},
                .running = std::move(running),
                .target = view.plan->target};
  return view;
}

Result<ExitCode> Runner::RunPlan() {
  left_ = "Nothing was changed.";
  TRY(NeedSource(invocation_, config_));
  NameUnusedKeys();
  PlanView view;
  if (invocation_.plan)
    view = TRY(Plan());
  else
    view.check = TRY(Check());
  if (invocation_.json)
    Print(invocation_.plan ? PlanJson(view) : CheckJson(view.check));
  else if (view.check.finding == Finding::kRefused)
    return Fail(Code::kRefused, "{}", view.check.message);
  else
    Print(invocation_.plan ? PlanText(view) : CheckText(view.check));
  return ExitOf(view);
}

Result<ExitCode> Runner::RunUpdate() {
  left_ = "Nothing was changed.";
  TRY(NeedSource(invocation_, config_));
  NameUnusedKeys();
  const BootState before = TRY(world_.boot.Read());
  InterruptibleProgress progress(console_.err, world_.clock, console_.style, console_.columns,
                                 "run it again, it resumes");
  Result<UpdatePlan> plan = Update(world_, config_, Options(), progress);
  const bool nothing_to_do = !plan && plan.error().code == Code::kNothingToDo;
  progress.Finish(plan || nothing_to_do);
  if (nothing_to_do) {
    Print(plan.error().message + ": nothing to do.\n");
    return ExitCode::kNothingToDo;
  }
  if (!plan) {
    left_ = WhatIsLeft(before, world_.boot.Read(), progress.changing());
    return std::unexpected(plan.error());
  }
  const Release& release = plan->target.release;
  left_ =
      std::format("{} is staged in slot {}, and boots next.", release.version, Name(plan->slot));
  if (invocation_.reboot) return Reboot();
  Print(std::format("{} (index {}) is {}in slot {} and boots next. Reboot to run it.\n",
                    release.version, plan->target.index, plan->staged ? "already " : "",
                    Name(plan->slot)));
  return ExitCode::kStaged;
}

Result<ExitCode> Runner::RunRollback() {
  left_ = "Nothing was changed.";
  const BootState before = TRY(world_.boot.Read());
  Result<ReleaseId> target = Rollback(world_, "rolled back by the operator");
  const Result<BootState> after = world_.boot.Read();
  if (!target) {
    left_ = WhatIsLeft(before, after, false);
    return std::unexpected(target.error());
  }
  const Slot next = TRY(after).next().value_or(before.staying());
  left_ = std::format("{} in slot {} boots next.", target->version, Name(next));
  if (next == before.staying()) {
    Print(std::format("The staged update is cancelled; {} stays.\n", target->version));
    return ExitCode::kDone;
  }
  if (invocation_.reboot) return Reboot();
  Print(left_ + " Reboot to run it.\n");
  return ExitCode::kStaged;
}

Result<ExitCode> Runner::RunHealth() {
  HealthView view{world_.health.Round(kHealthLimit)};
  Print(invocation_.json ? HealthJson(view) : HealthText(view, console_.paint));
  return view.Healthy() ? ExitCode::kDone : ExitCode::kNotHealthy;
}

Result<ExitCode> Runner::RunHistory() {
  std::vector<std::string> problems;
  const Record record = ReadRecord(&problems);
  const HistoryView view{record.history, ReadPostMortems(world_, &problems)};
  Print(invocation_.json ? HistoryJson(view) : HistoryText(view));
  for (const std::string& problem : problems) Log(kError, "hostctl: " + problem);
  return problems.empty() ? ExitCode::kDone : ExitCode::kFailed;
}

void Runner::Remember(Slot slot, const Verification& verification) {
  if (const Result<> saved = SaveVerification(world_.state, slot, verification); !saved)
    Log(kError, "hostctl status will not know of it: " + saved.error().message);
}

Result<ExitCode> Runner::RunVerify() {
  const BootState boot = TRY(world_.boot.Read());
  const std::string wanted = invocation_.slot.value_or("both");
  InterruptibleProgress progress(console_.err, world_.clock, console_.style, console_.columns,
                                 "nothing was proven");
  VerifyView view;
  for (Slot slot : {Slot::A, Slot::B}) {
    if (wanted != "both" && wanted != Name(slot)) continue;
    const bool running = boot.release() && boot.release()->slot == slot;
    const std::optional<Digest> root_hash = boot.RootOf(slot);
    const bool empty = !root_hash;
    if (empty && wanted != "both") return Fail(Code::kNotFound, "slot {} is empty", Name(slot));
    view.slots.push_back({TRY(VerifySlot(world_, slot, progress)), running, empty});
    if (root_hash)
      Remember(slot, {world_.clock.Now(), *root_hash, view.slots.back().proof.problem});
  }
  if (wanted == "both") {
    view.rescue = TRY(VerifyRescue(world_));
    const auto& running = view.slots[static_cast<size_t>(boot.staying())];
    view.boot = TRY(VerifyBoot(world_, running.proof.proven));
  }
  progress.Finish(ExitOf(view) == ExitCode::kDone);
  Print(invocation_.json ? VerifyJson(view) : VerifyText(view, console_.paint));
  return ExitOf(view);
}

Result<ExitCode> Runner::RunTrialGate() {
  GateResult result;
  if (problem_) {
    BrokenConfigHealth broken(*problem_);
    World world{world_.source, world_.disk,      world_.boot,  broken,       world_.power,
                world_.clock,  world_.black_box, world_.floor, world_.state, world_.rescue_file};
    Config at_once = config_;
    at_once.health.deadline = at_once.health.window = Seconds(0);
    result = TRY(RunGate(world, at_once));
  } else {
    result = TRY(RunGate(world_, config_));
  }
  const std::string& version = result.version;
  for (const std::string& problem : result.problems)
    Log(kError, "this decides nothing, and is looked at again in the next boot: " + problem);
  if (const Result<BootState> boot = world_.boot.Read())  // only reports: the gate has decided
    for (const std::string& twin : boot->twins) Log(kWarning, TwinText(twin));
  if (result.selftest)
    Log(result.selftest->state == SelfTestState::kFailed ? kError : kNotice,
        "self-test of the boot loader: " + SelfTestText(*result.selftest) +
            (result.rebooting ? ", rebooting" : ""));
  if (result.rescue_renewed)
    Log(kNotice, std::format("the rescue on the ESP is that of {} now", version));
  if (!result.rescue_problem.empty())
    Log(kError, "the rescue on the ESP stays as it was, until the next boot tries again: " +
                    result.rescue_problem);
  if (result.given_up) {
    Log(kNotice,
        std::format("{} was given up before this boot: rebooting into the other slot", version));
    return ExitCode::kDone;
  }
  if (!result.on_trial) {
    Log(kInfo, std::format("{} is not on trial: nothing to decide", version));
    return ExitCode::kDone;
  }
  if (result.verdict.healthy) {
    const Seconds steady = std::chrono::duration_cast<Seconds>(result.verdict.steady);
    Log(kNotice,
        std::format("{} is healthy, steady for {}: committed", version, FormatSpan(steady)));
    return ExitCode::kDone;
  }
  Log(kError, std::format("{} is not healthy: {}; {}", version, result.verdict.reason,
                          result.rebooting ? "marked bad, rebooting into the other slot"
                                           : "it stays, as there is nothing to fall back to"));
  return ExitCode::kNotHealthy;
}

Result<ExitCode> Runner::RunProbation() {
  const ProbationResult result = TRY(WatchProbation(world_, config_));
  const std::string& version = result.release.version;
  switch (result.end) {
    case ProbationEnd::kNone:
      Log(kInfo, "nothing is on probation");
      return ExitCode::kDone;
    case ProbationEnd::kPassed:
      Log(kNotice, std::format("the probation of {} is over", version));
      return ExitCode::kDone;
    case ProbationEnd::kDegraded:
    case ProbationEnd::kFellBack:
    case ProbationEnd::kOvertaken:
      break;
  }
  const char* then = result.end == ProbationEnd::kFellBack
                         ? "; given up, rebooting into the other slot"
                     : result.end == ProbationEnd::kOvertaken
                         ? "; left to the rollback or the planned reboot that came before"
                         : "";
  Log(kError,
      std::format("{} went bad in its probation: {}{}", version, result.verdict.reason, then));
  return ExitCode::kNotHealthy;
}

Result<ExitCode> Runner::RunRecount() {
  const bool counted = TRY(Recount(world_, config_));
  Log(kInfo, counted ? "the next boot is counted" : "the next boot is counted no more than before");
  return counted ? ExitCode::kDone : ExitCode::kNothingToDo;
}

Result<ExitCode> Runner::RunOwn() {
  const Lock lock = TRY(world_.state.WaitLock("hostctl boot own", world_.clock.Now()));
  TRY(world_.boot.MakeOwn());
  return ExitCode::kDone;
}

Result<ExitCode> Runner::RunRescue() {
  Print("Neither slot has tries left. What happened here:\n");
  std::vector<std::string> problems = ReadKept(world_).problems;
  const Record record = ReadRecord(&problems);
  Print(HistoryText({record.history, ReadPostMortems(world_, &problems)}));
  // Reported, but not fatal: the keys the rescue trusts are in its image.
  for (const std::string& problem : problems) Log(kError, "going on without " + problem);
  InterruptibleProgress progress(console_.err, world_.clock, console_.style, console_.columns,
                                 "run it again, it resumes");
  const Result<RescueResult> result = Rescue(world_, config_, progress);
  progress.Finish(result.has_value());
  if (!result) return std::unexpected(result.error());
  Log(kNotice,
      std::format("slot {} {} {}: rebooting into it", Name(result->slot),
                  result->end == RescueEnd::kIndeterminate ? "is as signed, and has tries again:"
                                                           : "was written again with",
                  result->version));
  return Reboot();
}

Result<ExitCode> Runner::RunSelfTest() {
  left_ = "Nothing was changed.";
  if (invocation_.cancel) {
    TRY(CancelSelfTest(world_));
    Print("No self-test of the boot loader is in progress.\n");
    return ExitCode::kDone;
  }
  TRY(BeginSelfTest(world_));
  left_ = "The next boot is the first of the self-test.";
  if (invocation_.reboot) return Reboot();
  Print(std::format(
      "The next {} boots test the loader: reboot; the others follow by themselves. Then "
      "see: hostctl status\n",
      kSelfTestBoots));
  return ExitCode::kStaged;
}

}  // namespace

ExitCode RunVerb(const Invocation& invocation, World& world, const Config& config,
                 const Error* problem, Console& console) {
  Runner runner(invocation, world, config, problem, console);
  Result<ExitCode> code = runner.Run();
  // Metrics explain, they decide nothing: errors are ignored.
  if (!std::ranges::contains(kReading, invocation.command->verb)) (void)WriteMetrics(world);
  if (code) return *code;
  Error error = code.error();
  // If the machine itself is unsupported, report that first.
  if (error.code == Code::kNotSupported)
    if (Result<BootState> boot = world.boot.Read(); !boot && boot.error().code == error.code)
      error = std::move(boot).error().Wrap("not a HostOS system");
  console.err << FailureText(error, runner.left(), Advice(error, invocation)) << std::flush;
  return ExitCodeOf(error.code);
}

}  // namespace hostos
