#include "updater/engine/update.h"

#include <algorithm>
#include <map>

#include "updater/engine/releases.h"
#include "updater/engine/rescue_image.h"
#include "updater/engine/verification.h"
#include "updater/engine/view.h"
#include "updater/source/release_target.h"

namespace hostos {
namespace {

constexpr uint64_t kEspMargin = 1 << 20;  // FAT rounds up to clusters and keeps directories
constexpr Space kStateMargin = {.bytes = 32 << 20, .inodes = 512};  // for the node's own services
// Of the staging repository: 256 for its objects, 256 for those of an unfinished pull, and a few.
constexpr Space kDirectories = {.bytes = 544 * kBlockBytes, .inodes = 544};
constexpr Milliseconds kBaselineLimit = Seconds(60);

// What an update begins with: one look, and what runs, whose kept commit is verified once.
struct UpdateView : View {
  std::optional<Release> release;  // absent when its commit is not kept here
  ReleaseId running;
};

Result<UpdateView> LookForUpdate(World& world) {
  UpdateView view{TRY(Look(world)), {}, {}};
  view.release = ReleaseOf(world, view.boot.running_root_hash);
  view.running = IdentifyRunning(view.boot, view.release);
  return view;
}

double Megabytes(uint64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}

// What a release must not come before.
struct Floor {
  uint64_t index = 0, time = 0;
};

Result<Floor> FloorOf(World& world, const UpdateView& view) {
  // What came with the disk was committed to as well. A time that is still to come is no floor.
  const uint64_t released = view.release ? view.release->timestamp : 0;
  const uint64_t running = released <= world.clock.Now() ? released : 0;
  return Floor{.index = std::max(view.record.index, TRY(world.floor.Read())),
               .time = std::max(view.record.floor, running)};
}

// Is the target one that this machine may install, from where it is now?
Result<> CheckAllowed(const UpdateView& view, const Target& found, const Floor& floor,
                      const UpdateOptions& options) {
  const Release& target = found.release;
  if (target.root_hash == view.boot.running_root_hash)
    return Fail(Code::kNothingToDo, "{} ({}) is running already", target.version,
                target.commit.Short());
  if (const auto& again = options.again)
    if (again->commit == target.commit || again->root_hash == target.root_hash) return {};
  const Denied* denied = view.record.FindDenied(target.commit, target.root_hash);
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
  // The other entry of a rescue has no tries left, and comes last whatever its version.
  if (!view.boot.rescue && CompareVersions(target.version, view.running.version) <= 0)
    return Fail(Code::kNotSupported,
                "{} is not newer than the running {}: the boot loader starts the newest release "
                "first (to go back to the other slot: hostctl rollback)",
                target.version, view.running.version);
  return {};
}

std::vector<UpdatePlan::PackageChange> ComparePackages(const Release& from, const Release& to) {
  std::map<std::string, UpdatePlan::PackageChange> changes;
  for (const auto& [name, version] : from.packages) changes[name] = {name, version, ""};
  for (const auto& [name, version] : to.packages) {
    changes[name].name = name;
    changes[name].to = version;
  }
  std::vector<UpdatePlan::PackageChange> changed;
  for (auto& [name, change] : changes)
    if (change.from != change.to) changed.push_back(std::move(change));
  return changed;
}

Result<> CheckSpace(const BootState& boot, const UpdatePlan& plan) {
  const Release& release = plan.target.release;
  const SlotState& slot = boot.slot(plan.slot);
  auto check = [&](const std::string& place, uint64_t needed, uint64_t available,
                   std::string_view hint) -> Result<> {
    if (needed <= available) return {};
    return Fail(Code::kNoSpace, "not enough space {} for {}: needs {:.1f} MB, has {:.1f} MB{}",
                place, release.version, Megabytes(needed), Megabytes(available), hint);
  };
  std::string unknown;
  for (const auto& [file, size] : boot.esp.unknown)
    unknown += std::format("{}{} ({:.1f} MB)",
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

// What the update and the first boot of its release write to the state partition. What they make
// needless goes later.
Result<Space> StateNeeded(World& world, const BootState& boot, const UpdatePlan& plan) {
  Space needed = kDirectories;
  needed += {.bytes = plan.fetch.unpacked_bytes, .inodes = plan.fetch.objects};
  // Kept here, and staged.
  for (const std::string& bytes : {plan.target.commit, plan.target.signatures})
    needed += {.bytes = 2 * InBlocks(bytes.size()), .inodes = 2};
  // In the rescue nothing else runs, and what it puts back has its /etc.
  if (boot.rescue) return needed;
  needed += kStateMargin;
  needed += TRY(world.state.EtcSize(boot.running_root_hash));
  return needed;
}

// Both are on the ESP while one takes the place of the other. An ESP without room for that is no
// reason to refuse a release: the present rescue stays.
std::optional<UpdatePlan::RescueChange> PlanRescue(const BootState& boot, const UpdatePlan& plan) {
  const Release& release = plan.target.release;
  if (!release.rescue || HasRescue(boot, *release.rescue)) return std::nullopt;
  const BootEntry* present = boot.Rescue();
  const uint64_t free = plan.esp_free - std::min(plan.esp_free, release.uki_size);
  return UpdatePlan::RescueChange{.image = *release.rescue,
                                  .from = present ? present->version : "",
                                  .fits = RescueFits(*release.rescue, free)};
}

// The clock, unless it is before a time that has been: the one of the running release, of a release
// that was committed, or of the last metadata that counted. None of them can be later than the
// expiry of what is trusted here, so no clock that ran ahead once, and no release with a wrong
// time, does harm for longer than that.
uint64_t BelievedTime(World& world, const UpdateView& view, const ReleaseLimits& limits) {
  uint64_t now = world.clock.Now();
  for (const uint64_t been :
       {view.release ? view.release->timestamp : 0, view.record.floor, view.record.checked})
    if (been < limits.time) now = std::max(now, been);
  return now;
}

// A floor that no release can reach is none: a release that was committed to before anybody looked
// at its time, or its index, strands no machine.
Result<> ForgetImpossibleFloors(World& world, Record& record, const ReleaseLimits& limits) {
  if (record.floor > limits.time) record.floor = 0;
  if (record.index > limits.index) record.index = 0;
  if (TRY(world.floor.Read()) > limits.index) TRY(world.floor.Replace(record.index));
  return {};
}

// What this machine had before, it may have again without metadata that still counts: a rescue must
// not be stranded by an expiry. Of metadata that does count, the time is noted.
Result<Target> Resolve(World& world, UpdateView& view, const UpdateOptions& options) {
  if (options.again)
    if (std::optional<Target> kept = KeptTarget(world, options.again->commit))
      return *std::move(kept);
  const uint64_t now = BelievedTime(world, view, LimitsOf(TRY(world.source.Trusted())));
  Target target = TRY(world.source.Resolve(options.version, now));
  const ReleaseLimits limits = LimitsOf(TRY(world.source.Trusted()));
  TRY(ForgetImpossibleFloors(world, view.record, limits));
  view.record.checked = now;
  TRY(world.state.record().Save(view.record));
  return target;
}

// Resolves and admits a target.
Result<Target> FindTarget(World& world, UpdateView& view, const UpdateOptions& options) {
  if (view.boot.on_trial)
    return Fail(Code::kBusy,
                "the running release is on trial; its health gate decides first (hostctl status)");
  if (view.record.SelfTesting() && !view.boot.rescue)
    return Fail(Code::kBusy,
                "a self-test of the boot loader is in progress; to end it: hostctl boot "
                "selftest --cancel");
  Target target = TRY(Resolve(world, view, options));
  const Floor floor = TRY(FloorOf(world, view));
  TRY(CheckAllowed(view, target, floor, options));
  return target;
}

Result<UpdatePlan> MakePlan(World& world, UpdateView& view, const UpdateOptions& options) {
  UpdatePlan plan{.target = TRY(FindTarget(world, view, options)), .running = view.release};
  const BootState& boot = view.boot;
  plan.slot = Other(boot.running);
  plan.staged = view.record.update && view.record.update->phase == Phase::kArmed &&
                view.record.update->target.commit == plan.target.release.commit;
  plan.fetch = TRY(world.source.Plan(plan.target));
  // What the target slot's old entries take now is free by the time the new one is written.
  plan.esp_size = boot.esp.size;
  plan.esp_free = boot.esp.free;
  for (const BootEntry& entry : boot.entries)
    if (entry.root_hash == boot.slot(plan.slot).root_hash) plan.esp_free += entry.size;
  plan.rescue = PlanRescue(boot, plan);
  plan.state_needed = TRY(StateNeeded(world, boot, plan));
  // One file system, unless somebody mounted another there.
  const Space staging = TRY(world.source.StagingFree()), own = TRY(world.state.Free());
  plan.state_free = {std::min(staging.bytes, own.bytes), std::min(staging.inodes, own.inodes)};
  plan.state_free += plan.fetch.removed;
  if (plan.running) plan.packages = ComparePackages(*plan.running, plan.target.release);
  plan.etc_changes = TRY(world.state.EtcChanges(boot.running_root_hash));
  if (!plan.staged) TRY(CheckSpace(boot, plan));
  return plan;
}

// All checks, once, before anything is changed: the trial is held against it.
std::vector<CheckResult> FailingNow(World& world) {
  std::vector<CheckResult> checks = world.health.Round(kBaselineLimit);
  std::erase_if(checks, &CheckResult::ok);
  return checks;
}

// The rescue system's own health says nothing of the release that it installs.
Result<> CheckHealth(const UpdatePlan& plan, const ReleaseId& running,
                     const UpdateOptions& options) {
  const std::string fails = FailsAlready(plan.failing);
  if (fails.empty() || options.ignore_health || options.again) return {};
  return Fail(
      Code::kUnhealthy,
      "{} is not healthy now, so that a trial of {} would fail as well: {}\n"
      "Mend it, or name the units in [health] allowed_failed_units. To update all the same, "
      "with these units known to fail: hostctl update --ignore-health",
      running.version, plan.target.release.version, fails);
}

Result<> WriteSlot(World& world, const UpdatePlan& plan, Checkout& checkout, Progress& progress) {
  const Result<> written =
      world.disk.Write(plan.slot, plan.target.release, checkout.image.get(), progress);
  checkout.image = {};
  const Result<> sent = checkout.sent.get();
  // Of a stream that ended early, its sender knows why. What the sender says of one that was no
  // longer read only follows from what went wrong here.
  const bool ended_early = !written && written.error().code == Code::kNetwork;
  return !sent && (written || ended_early) ? sent : written;
}

// A release begins with the /etc of the one that arms it. The rescue puts one back where it was:
// with the /etc that it had, else with that of what was in its slot.
Result<> PrepareEtc(World& world, const BootState& boot, const UpdatePlan& plan) {
  Digest from = boot.running_root_hash;
  if (boot.rescue) from = boot.slot(plan.slot).root_hash.value_or(from);
  return world.state.PrepareEtc(from, plan.target.release.root_hash, /*afresh=*/!boot.rescue);
}

// One update between its plan and its armed release: every phase is in the record before it begins.
class Session {
 public:
  Session(World& world, View& view, const UpdatePlan& plan)
      : world_(world), view_(view), plan_(plan) {}

  // Nothing of the slot is lost yet: whoever withholds what is fetched next takes nothing away.
  // What is staged there boots until then, and its record stays.
  Result<> Begin(const ReleaseId& running) {
    const Release& target = plan_.target.release;
    next_ = UpdateRecord{.phase = Phase::kFetch,
                         .target = IdOf(target),
                         .slot = plan_.slot,
                         .from = running,
                         .timestamp = target.timestamp,
                         .index = plan_.target.index,
                         .started = world_.clock.Now(),
                         .before = FailedIn(plan_.failing)};
    const std::optional<UpdateRecord>& present = view_.record.update;
    if (present && present->phase == Phase::kArmed) return {};
    view_.record.update = next_;
    return Save();
  }

  Result<> Invalidate() {
    // Both releases' signed commits are kept: `hostctl verify` proves the slots with them.
    const Digest& target = next_.target.commit;
    TRY(world_.state.Keep(target, {plan_.target.commit, plan_.target.signatures}));
    view_.record.update = next_;
    TRY(Done(Event::kFetched));
    (void)ForgetVerification(world_.state, plan_.slot);  // it says of what root it was
    TRY(world_.boot.Invalidate(plan_.slot));
    // What stays takes up room, and the next update tries again. So does what runs when it is not
    // known: its commit may be readable again.
    if (next_.from.commit != Digest()) (void)world_.state.ForgetExcept({target, next_.from.commit});
    return {};
  }

  Result<> Done(Event event) {
    UpdateRecord& update = *view_.record.update;
    update.phase = TRY(NextPhase(update.phase, event));
    update.armed_boot_id = update.phase >= Phase::kArm ? view_.boot_id : "";
    return Save();
  }

 private:
  Result<> Save() { return world_.state.record().Save(view_.record); }

  World& world_;
  View& view_;
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
  UpdateView view = TRY(LookForUpdate(world));
  return FindTarget(world, view, options);
}

Result<UpdatePlan> PlanUpdate(World& world, const UpdateOptions& options) {
  Lock lock = TRY(world.state.TryLock("hostctl update --plan", world.clock.Now()));
  UpdateView view = TRY(LookForUpdate(world));
  UpdatePlan plan = TRY(MakePlan(world, view, options));
  if (!plan.staged) plan.failing = FailingNow(world);
  return plan;
}

// The recipe. Each step is on stable storage before the next one begins, so a power cut boots the
// old release until the one rename inside Arm, and the old or the new one after it. Both are whole.
Result<UpdatePlan> Update(World& world, const Config& config, const UpdateOptions& options,
                          Progress& progress) {
  Lock lock = TRY(world.state.TryLock("hostctl update", world.clock.Now()));
  UpdateView view = TRY(LookForUpdate(world));

  // resolve: nothing but verified metadata, and nothing changed before there is room for all of it
  progress.Begin("resolve", options.version.value_or("newest of " + config.channel));
  UpdatePlan plan = TRY(MakePlan(world, view, options));
  if (plan.staged) return plan;
  const Release& release = plan.target.release;
  progress.Begin("resolve",
                 std::format("{} is signed by {} of {} required keys", release.version,
                             plan.target.valid_signatures, plan.target.required_signatures));
  const ReleaseId& running = view.running;

  // check: what fails already now is not the release's fault, and no trial is begun for it unasked
  progress.Begin("check", "health under " + running.FallbackName());
  plan.failing = FailingNow(world);
  TRY(CheckHealth(plan, running, options));

  // fetch: the objects this machine lacks, and the boot image, which is as signed
  Session session(world, view, plan);
  TRY_CONTEXT("fetch", session.Begin(running));
  progress.Begin("fetch", std::format("{} objects", plan.fetch.objects));
  TRY_CONTEXT("fetch", world.source.Fetch(plan.target, progress));
  Checkout checkout = TRY_CONTEXT("fetch", world.source.Open(plan.target));

  // invalidate: from here the target slot cannot be chosen
  TRY_CONTEXT("invalidate", session.Invalidate());

  // write: the image and its hash tree into the partitions
  progress.Begin("write", std::format("slot {}", Name(plan.slot)));
  TRY_CONTEXT("write", WriteSlot(world, plan, checkout, progress));
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
          Name(plan.slot), config.tries, running.FallbackName(),
          running.version.empty() ? "" : std::format(" in slot {}", Name(view.boot.running))));
  TRY_CONTEXT("arm", PrepareEtc(world, view.boot, plan));
  TRY_CONTEXT("arm", world.boot.Arm(plan.slot, release, checkout.uki.get(), config.tries));
  TRY(session.Done(Event::kArmed));
  return plan;
}

}  // namespace hostos
