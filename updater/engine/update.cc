#include "updater/engine/update.h"

#include <algorithm>

#include "updater/base/text.h"
#include "updater/engine/reconcile.h"
#include "updater/engine/releases.h"
#include "updater/engine/rescue_image.h"
#include "updater/engine/verification.h"
#include "updater/release/release_target.h"

namespace hostos {
namespace {

constexpr uint64_t kEspMargin = 1 << 20;  // FAT rounds up to clusters and keeps directories
constexpr Space kStateMargin = {.bytes = 32 << 20, .inodes = 512};  // for the node's own services
// In the staging repository: 256 for its objects, 256 for those of an unfinished pull, and a few
// more.
constexpr Space kDirectories = {.bytes = 544 * kBlockBytes, .inodes = 544};
constexpr Milliseconds kBaselineLimit = Seconds(60);

// What an update begins with: one look at the machine, and the release that stays. That is the
// running one; in the rescue system, the one that the rescue leaves alone.
struct Start {
  BootState boot;
  Record record;
  std::string boot_id;
  std::optional<Release> release;  // the one that stays; absent when its commit is not kept
  ReleaseId staying;               // the same release, as far as it is known
  // The release whose /etc the new one begins with, and whether it begins afresh. An update from a
  // running release always does. The rescue puts a release back with the /etc that it had, or else
  // with that of what was in its slot.
  Digest etc_from;
  bool etc_afresh = true;
};

Result<Start> LookForUpdate(World& world) {
  Start start;
  start.boot = TRY(world.boot.Read());
  start.boot_id = TRY(world.power.BootId());
  const BootState& boot = start.boot;
  start.record = Settle(LoadRecord(world, boot), boot, start.boot_id, world.clock.Now());
  const std::optional<Digest> root_hash = boot.RootOf(boot.staying());
  if (root_hash) start.release = ReleaseOf(world, *root_hash);
  start.staying = IdentifyStaying(boot, start.release);
  start.etc_from = start.staying.root_hash;
  if (boot.release()) return start;
  start.etc_from = boot.RootOf(boot.target()).value_or(start.etc_from);
  start.etc_afresh = false;
  return start;
}

// What a target must not be older than.
struct Floor {
  uint64_t index = 0, time = 0;
};

Result<Floor> FloorOf(World& world, const Start& start) {
  // The release that came with the disk counts as committed. A time in the future is no floor.
  const uint64_t released = start.release ? start.release->timestamp : 0;
  const uint64_t running = released <= world.clock.Now() ? released : 0;
  return Floor{.index = std::max(start.record.index_floor, TRY(world.floor.Read())),
               .time = std::max(start.record.time_floor, running)};
}

// Whether this machine may install the target, given what it runs and has committed to.
Result<> CheckAllowed(const Start& start, const Target& found, const Floor& floor,
                      const UpdateOptions& options) {
  const Release& target = found.release;
  if (target.root_hash == start.staying.root_hash)
    return Fail(Code::kNothingToDo, "{} ({}) is {} already", target.version, target.commit.Short(),
                start.boot.release() ? "running" : "in the other slot");
  if (const auto& reinstall = options.reinstall)
    if (reinstall->commit == target.commit || reinstall->root_hash == target.root_hash) return {};
  const Denied* denied = start.record.FindDenied(target.commit, target.root_hash);
  if (denied && !options.retry)
    return Fail(Code::kRefused, "{} ({}) was given up here on {}: {}", target.version,
                target.commit.Short(), FormatTime(denied->time), denied->reason);
  if (found.index < floor.index)
    return Fail(
        Code::kNotTrusted,
        "{} has index {} in the order of releases, before {}, which this machine committed to",
        target.version, found.index, floor.index);
  if (target.timestamp < floor.time)
    return Fail(Code::kNotTrusted,
                "{} was released {}, before the newest release this machine committed to ({})",
                target.version, FormatTime(target.timestamp), FormatTime(floor.time));
  // In a rescue the other entry has no tries left and comes last, whatever its version.
  if (start.boot.release() && CompareVersions(target.version, start.staying.version) <= 0)
    return Fail(Code::kNotSupported,
                "{} is not newer than the running {}: the boot loader starts the newest release "
                "first (to go back to the other slot: hostctl rollback)",
                target.version, start.staying.version);
  return {};
}

Result<> CheckSpace(const BootState& boot, const UpdatePlan& plan) {
  const Release& release = plan.target.release;
  const SlotState& slot = boot.slot(plan.slot);
  auto check = [&](const std::string& place, uint64_t needed, uint64_t available,
                   std::string_view hint) -> Result<> {
    if (needed <= available) return {};
    return Fail(Code::kNoSpace, "not enough space {} for {}: needs {}, has {}{}", place,
                release.version, Megabytes(needed), Megabytes(available), hint);
  };
  std::string unknown;
  for (const auto& [file, size] : boot.esp.unknown)
    unknown += std::format("{}{} ({})",
                           unknown.empty() ? "\nFiles there that HostOS does not know: " : ", ",
                           file, Megabytes(size));
  TRY(check(std::format("in slot {} ({})", Name(plan.slot), slot.data_device), release.image_size,
            slot.data_capacity, ""));
  TRY(check(std::format("for the hash tree of slot {} ({})", Name(plan.slot), slot.verity_device),
            release.verity_size, slot.verity_capacity, ""));
  TRY(check(std::format("on the ESP ({})", boot.esp.path), release.uki_size + kEspMargin,
            plan.esp_free, unknown));
  TRY(check("on the state partition", plan.state_needed.bytes, plan.state_free.bytes, ""));
  if (plan.state_needed.inodes > plan.state_free.inodes)
    return Fail(Code::kNoSpace,
                "not enough space on the state partition for {}: needs {} inodes, has {} (df -i)",
                release.version, plan.state_needed.inodes, plan.state_free.inodes);
  return {};
}

// What the update and the release's first boot write to the state partition. What they make
// needless is removed only later.
Result<Space> StateNeeded(World& world, const Start& start, const UpdatePlan& plan) {
  Space needed = kDirectories;
  needed += {.bytes = plan.fetch.unpacked_bytes, .inodes = plan.fetch.objects};
  // Once among the kept commits, once staged.
  for (const std::string& bytes : {plan.target.bytes, plan.target.signatures})
    needed += {.bytes = 2 * InBlocks(bytes.size()), .inodes = 2};
  if (!start.etc_afresh) return needed;  // the rescue runs no other services
  needed += kStateMargin;
  needed += TRY(world.state.EtcSize(start.etc_from));
  return needed;
}

// While one rescue replaces the other, both are on the ESP. If the ESP has no room for both, the
// release is not refused: the present rescue stays.
std::optional<UpdatePlan::RescueChange> PlanRescue(const BootState& boot, const UpdatePlan& plan) {
  const Release& release = plan.target.release;
  if (!release.rescue || HasRescue(boot, *release.rescue)) return std::nullopt;
  const BootEntry* present = boot.Rescue();
  const uint64_t free = plan.esp_free - std::min(plan.esp_free, release.uki_size);
  return UpdatePlan::RescueChange{.image = *release.rescue,
                                  .from = present ? present->version : "",
                                  .fits = RescueFits(*release.rescue, free)};
}

// The current time, but never earlier than a time already proven: that of the running release, of a
// committed release, or of the last successful check. A proven time counts only while it is before
// the expiry of what is trusted here, so a clock that once ran ahead, or a release with a wrong
// time, does no harm for longer than that.
uint64_t BelievedTime(World& world, const Start& start, const ReleaseLimits& limits) {
  uint64_t now = world.clock.Now();
  for (const uint64_t been : {start.release ? start.release->timestamp : 0, start.record.time_floor,
                              start.record.checked})
    if (been < limits.time) now = std::max(now, been);
  return now;
}

// Drops a floor that no release can reach: a release that was committed before its time and its
// index were checked must not strand the machine.
Result<> ForgetImpossibleFloors(World& world, Record& record, const ReleaseLimits& limits) {
  if (record.time_floor > limits.time) record.time_floor = 0;
  if (record.index_floor > limits.index) record.index_floor = 0;
  if (TRY(world.floor.Read()) > limits.index) TRY(world.floor.Replace(record.index_floor));
  return {};
}

// A release that this machine had before needs no metadata that is still valid: a rescue must not
// be stranded by an expiry. Otherwise the metadata has to be valid, and the time of the check is
// saved.
Result<Target> Resolve(World& world, Start& start, const UpdateOptions& options) {
  if (options.reinstall)
    if (std::optional<Target> kept = KeptTarget(world, options.reinstall->commit))
      return *std::move(kept);
  const uint64_t now = BelievedTime(world, start, LimitsOf(TRY(world.source.Trusted())));
  Target target = TRY(world.source.Resolve(options.version, now));
  const ReleaseLimits limits = LimitsOf(TRY(world.source.Trusted()));
  TRY(ForgetImpossibleFloors(world, start.record, limits));
  start.record.checked = now;
  TRY(world.state.record().Save(start.record));
  return target;
}

// Resolves a target and checks that it may be installed.
Result<Target> FindTarget(World& world, Start& start, const UpdateOptions& options) {
  if (start.boot.on_trial())
    return Fail(Code::kBusy,
                "the running release is on trial; its health gate decides first (hostctl status)");
  if (start.record.SelfTesting() && start.boot.release())
    return Fail(Code::kBusy,
                "a self-test of the boot loader is in progress; to end it: hostctl boot "
                "selftest --cancel");
  Target target = TRY(Resolve(world, start, options));
  const Floor floor = TRY(FloorOf(world, start));
  TRY(CheckAllowed(start, target, floor, options));
  return target;
}

Result<UpdatePlan> MakePlan(World& world, Start& start, const UpdateOptions& options) {
  UpdatePlan plan{.target = TRY(FindTarget(world, start, options)), .running = start.release};
  const BootState& boot = start.boot;
  plan.slot = boot.target();
  plan.staged = start.record.update && start.record.update->phase == Phase::kArmed &&
                start.record.update->target.commit == plan.target.release.commit;
  plan.fetch = TRY(world.source.Plan(plan.target));
  // The space of the target slot's old entries is free by the time the new one is written.
  plan.esp_size = boot.esp.size;
  plan.esp_free = boot.esp.free;
  for (const BootEntry& entry : boot.entries)
    if (entry.root_hash == boot.slot(plan.slot).root_hash) plan.esp_free += entry.size;
  plan.rescue = PlanRescue(boot, plan);
  plan.state_needed = TRY(StateNeeded(world, start, plan));
  // Normally one file system, unless another one is mounted there.
  const Space staging = TRY(world.source.StagingFree()), own = TRY(world.state.Free());
  plan.state_free = {std::min(staging.bytes, own.bytes), std::min(staging.inodes, own.inodes)};
  plan.state_free += plan.fetch.removed;
  if (plan.running) plan.packages = ComparePackages(*plan.running, plan.target.release);
  plan.etc_changes = TRY(world.state.EtcChanges(start.staying.root_hash));
  if (!plan.staged) TRY(CheckSpace(boot, plan));
  if (options.refuse_metered && !plan.staged && plan.fetch.download_bytes > 0)
    plan.metering = world.metering();
  return plan;
}

// Runs all checks once before anything changes. The trial is compared with the result.
std::vector<CheckResult> FailingNow(World& world) {
  std::vector<CheckResult> checks = world.health.Round(kBaselineLimit);
  std::erase_if(checks, &CheckResult::ok);
  return checks;
}

// The signed file of the target, and that of the release that runs, which is in its root. Whatever
// is the matter with them, the plan holds.
Result<CveChanges> PlanCves(World& world, const UpdatePlan& plan) {
  const std::string version = plan.running ? plan.running->version : "";
  Result<std::string> read = ReadFile(world.changes_file, kMaxChangesBytes);
  if (!plan.running || (!read && read.error().code == Code::kNotFound))
    return Fail(Code::kNotFound, "what runs does not say which versions its packages fixed");
  if (!plan.target.changes)
    return Fail(Code::kNotFound, "{} does not say what its packages fixed",
                plan.target.release.version);
  const std::string bytes = TRY(std::move(read));
  const ReleaseChanges running = TRY_CONTEXT(world.changes_file, ParseChanges(bytes));
  const ReleaseChanges target = TRY(world.source.Changes(plan.target));
  for (const auto& [what, changes, expected] :
       {std::tuple(world.changes_file, &running, &version),
        std::tuple(plan.target.changes->path, &target, &plan.target.release.version)})
    if (changes->version != *expected)
      return Fail(Code::kNotTrusted, "{}: expected that of {}, found that of {}", what, *expected,
                  changes->version);
  return CompareChanges(running, target);
}

Result<> CheckMetered(const UpdatePlan& plan, const UpdateOptions& options) {
  if (!plan.metered() || options.allow_metered) return {};
  return Fail(Code::kNotNow,
              "not now: the network is metered ({}), and {} needs a download of {}; [source] "
              "metered is \"refuse\"",
              plan.metering->detail, plan.target.release.version,
              Megabytes(plan.fetch.download_bytes));
}

// In the rescue system, its own health says nothing about the release that it installs.
Result<> CheckHealth(const UpdatePlan& plan, const ReleaseId& running,
                     const UpdateOptions& options) {
  const std::string fails = FailsAlready(plan.failing);
  if (fails.empty() || options.ignore_health || options.reinstall) return {};
  return Fail(
      Code::kUnhealthy,
      "{} is not healthy now, so that a trial of {} would fail as well: {}\n"
      "Mend it, or name the units in [health] allowed_failed_units. To update all the same, "
      "with these units known to fail: hostctl update --ignore-health",
      running.version, plan.target.release.version, fails);
}

// Returns the bytes that the slot did not hold already.
Result<uint64_t> WriteSlot(World& world, const UpdatePlan& plan, Checkout& checkout,
                           Progress& progress) {
  const Result<uint64_t> written =
      world.disk.Write(plan.slot, plan.target.release, checkout.image.get(), progress);
  checkout.image = {};
  const Result<> sent = checkout.sent.get();
  // If the stream ended early, its sender knows why. If reading failed for another reason, the
  // sender's error only follows from that.
  const bool ended_early = !written && written.error().code == Code::kNetwork;
  if (!sent && (written || ended_early)) return std::unexpected(sent.error());
  return written;
}

// One update from its plan to its armed release. Every phase is in the record before it begins.
class Session {
 public:
  Session(World& world, Start& start, const UpdatePlan& plan)
      : world_(world), start_(start), plan_(plan) {}

  // The slot loses nothing yet: whoever withholds the objects that are fetched next takes nothing
  // away. What is staged there still boots, and its record stays.
  Result<> Begin() {
    const Release& target = plan_.target.release;
    next_ = UpdateRecord{.phase = Phase::kFetch,
                         .target = IdOf(target),
                         .slot = plan_.slot,
                         .from = start_.staying,
                         .timestamp = target.timestamp,
                         .index = plan_.target.index,
                         .started = world_.clock.Now(),
                         .failed_before = FailedIn(plan_.failing)};
    const std::optional<UpdateRecord>& present = start_.record.update;
    if (present && present->target.commit == target.commit) next_.traffic = present->traffic;
    if (present && present->phase == Phase::kArmed) return {};
    start_.record.update = next_;
    return Save();
  }

  // Also of a fetch that failed: the run that goes on with it adds what it moves itself.
  Result<> Moved(const Traffic& traffic) {
    if (!next_.traffic) next_.traffic.emplace();
    *next_.traffic += traffic;
    if (start_.record.update->phase == Phase::kArmed) return {};
    start_.record.update = next_;
    return Save();
  }

  Result<> Invalidate() {
    // The signed commits of both releases are kept: `hostctl verify` proves the slots with them.
    const Digest& target = next_.target.commit;
    TRY(world_.state.Keep(target, {plan_.target.bytes, plan_.target.signatures}));
    start_.record.update = next_;
    TRY(Done(Event::kFetched));
    (void)ForgetVerification(world_.state, plan_.slot);  // it is about the old root
    TRY(world_.boot.Invalidate(plan_.slot));
    // What cannot be removed only takes up room, and the next update tries again. If what runs is
    // not known, everything stays: its commit may become readable again.
    if (next_.from.commit != Digest()) (void)world_.state.ForgetExcept({target, next_.from.commit});
    return {};
  }

  Result<> Done(Event event) {
    UpdateRecord& update = *start_.record.update;
    update.phase = TRY(NextPhase(update.phase, event));
    update.armed_boot_id = update.phase >= Phase::kArm ? start_.boot_id : "";
    return Save();
  }

 private:
  Result<> Save() { return world_.state.record().Save(start_.record); }

  World& world_;
  Start& start_;
  const UpdatePlan& plan_;
  UpdateRecord next_;
};

}  // namespace

std::string FailsAlready(const std::vector<CheckResult>& failing) {
  std::string text;
  for (const CheckResult& check : failing)
    if (check.required && !check.environment)
      text += std::format("{}{}: {}", text.empty() ? "" : "; ", check.name, check.detail);
  return text;
}

Result<Target> CheckForUpdate(World& world, const UpdateOptions& options) {
  Lock lock = TRY(world.state.TryLock("hostctl update --check", world.clock.Now()));
  Start start = TRY(LookForUpdate(world));
  return FindTarget(world, start, options);
}

Result<UpdatePlan> PlanUpdate(World& world, const UpdateOptions& options) {
  Lock lock = TRY(world.state.TryLock("hostctl update --plan", world.clock.Now()));
  Start start = TRY(LookForUpdate(world));
  UpdatePlan plan = TRY(MakePlan(world, start, options));
  if (!plan.staged) plan.failing = FailingNow(world);
  plan.cves = PlanCves(world, plan);
  return plan;
}

// The recipe. Each step is on stable storage before the next one begins. So before the one rename
// inside Arm a power cut boots the old release, and after it the old or the new one. Both are
// whole.
Result<UpdatePlan> Update(World& world, const Config& config, const UpdateOptions& options,
                          Progress& progress) {
  Lock lock = TRY(world.state.TryLock("hostctl update", world.clock.Now()));
  Start start = TRY(LookForUpdate(world));

  // resolve: only verified metadata; nothing changes before there is room for everything
  progress.Begin("resolve", options.version.value_or("newest of " + config.channel));
  UpdatePlan plan = TRY(MakePlan(world, start, options));
  if (plan.staged) return plan;
  TRY(CheckMetered(plan, options));
  const Release& release = plan.target.release;
  progress.Begin("resolve",
                 std::format("{} is signed by {} of {} required keys", release.version,
                             plan.target.valid_signatures, plan.target.required_signatures));
  const ReleaseId& staying = start.staying;

  // check: what fails already is not the release's fault, and starts no trial unless asked to
  progress.Begin("check", "health under " + staying.FallbackName());
  plan.failing = FailingNow(world);
  TRY(CheckHealth(plan, staying, options));

  // fetch: the objects that this machine lacks, and the boot image, which is as signed
  Session session(world, start, plan);
  progress.Changing();
  TRY_CONTEXT("fetch", session.Begin());
  progress.Begin("fetch", std::format("{} objects{}", plan.fetch.objects,
                                      plan.fetch.packed ? " in a delta pack" : ""));
  Result<FetchStats> fetched = world.source.Fetch(plan.target, progress);
  Result<> noted = session.Moved(world.source.Moved());
  const FetchStats stats = TRY_CONTEXT("fetch", std::move(fetched));
  TRY_CONTEXT("fetch", std::move(noted));
  if (!stats.problem.empty())
    progress.Begin(
        "fetch",
        "the delta pack did not bring every object, the rest came one by one: " + stats.problem);
  Checkout checkout = TRY_CONTEXT("fetch", world.source.Open(plan.target));

  // invalidate: from here the target slot cannot be chosen
  TRY_CONTEXT("invalidate", session.Invalidate());

  // write: the image and its hash tree into the partitions
  progress.Begin("write", std::format("slot {}", Name(plan.slot)));
  plan.written = TRY_CONTEXT("write", WriteSlot(world, plan, checkout, progress));
  progress.Begin("write",
                 std::format("{} of {}: slot {} held the rest already", Megabytes(plan.written),
                             Megabytes(release.image_size), Name(plan.slot)));
  TRY(session.Done(Event::kWritten));

  // prove: read back from the medium, to the signed root hash
  progress.Begin("prove", std::format("slot {}", Name(plan.slot)));
  TRY_CONTEXT("prove", world.disk.Prove(plan.slot, release, progress));
  TRY(session.Done(Event::kProven));

  // arm: the only step that changes what boots
  progress.Begin(
      "arm",
      std::format(
          "boots next: {} in slot {}, {} tries; then back to {}{}", release.version,
          Name(plan.slot), config.tries, staying.FallbackName(),
          staying.version.empty() ? "" : std::format(" in slot {}", Name(start.boot.staying()))));
  TRY_CONTEXT("arm", world.state.PrepareEtc(start.etc_from, release.root_hash, start.etc_afresh));
  TRY_CONTEXT("arm", world.boot.Arm(plan.slot, release, checkout.uki.get(), config.tries));
  TRY(session.Done(Event::kArmed));
  return plan;
}

}  // namespace hostos
