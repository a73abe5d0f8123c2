#include "tests/powercut/cut_power.h"

#include <catch2/catch_test_macros.hpp>
#include <random>
#include <ranges>
#include <set>
#include <tuple>

#include "tests/bootctl/disk_machine.h"
#include "tests/held.h"
#include "tests/powercut/disk_copy.h"
#include "tests/powercut/outcome.h"
#include "tests/powercut/real_boot.h"
#include "tests/text_file.h"
#include "tests/torture.h"
#include "updater/release/commit.h"
#include "updater/source/archive.h"

namespace hostos {
namespace {

using Place = DiskCopy::Place;

constexpr size_t kMostPartial = 6, kFewestReal = 6;  // of each log; booted for real

Release ReleaseOf(const ReleaseSet& releases, const std::string& version) {
  const Digest commit = Held(releases.Get(version)).commit;
  const std::string object = releases.directory() + "/repo/" + ObjectPath(commit, "commit");
  return Held(ParseCommit(ReadText(object))).release;
}

class Replay {
 public:
  Replay(const std::string& log, std::vector<Release> releases)
      : releases_(std::move(releases)),
        log_(Held(WriteLog::Open(log))),
        disk_(Held(DiskCopy::Make(log + ".base", directory_.path(), log_))) {
    for (const LoggedWrite& write : log_.writes()) slot_b_ += disk_.PlaceOf(write) == Place::kSlotB;
  }

  // Every prefix, and at least `random` states in which an arbitrary part of what was not flushed
  // is there.
  void Run(size_t random) {
    JudgePrefix(0);
    const std::vector<Group> groups = Groups();
    const auto decides = [&](const Group& group) {
      return std::ranges::any_of(group, [&](size_t i) { return Decides(log_.writes()[i]); });
    };
    const size_t deciding = static_cast<size_t>(std::ranges::count_if(groups, decides));
    for (const Group& group : groups) {
      if (decides(group))
        for (size_t i = 0; i < random / deciding + 1; i++) TryRandom(group);
      Flush(group);
    }
  }

  size_t states() const { return states_; }

  struct Judged {
    DiskState state;
    Outcome outcome;
  };
  // Where what boots changes: the state before all writes, and each prefix that changes it.
  const std::vector<Judged>& turns() const { return turns_; }
  // States with some of the writes after a flush, which boot something else than without these
  // writes.
  const std::vector<Judged>& partial() const { return partial_; }
  // One state per flush in which these writes do not change what boots.
  const std::vector<Judged>& calm() const { return calm_; }

 private:
  using Group = std::vector<size_t>;  // the writes between two flushes

  std::vector<Group> Groups() const {
    std::vector<Group> groups(1);
    for (size_t i = 0; i < log_.writes().size(); i++) {
      if (log_.writes()[i].flush) groups.emplace_back();
      if (log_.writes()[i].length > 0) groups.back().push_back(i);
    }
    return groups;
  }

  bool Decides(const LoggedWrite& write) const {
    const Place place = disk_.PlaceOf(write);
    return place == Place::kTable || place == Place::kEsp;
  }

  void Flush(const Group& group) {
    for (const size_t i : group) {
      const LoggedWrite& write = log_.writes()[i];
      CHECK(disk_.PlaceOf(write) != Place::kSlotA);
      Take(write, write.length);
      if (Decides(write)) JudgePrefix(i + 1);
    }
  }

  void TryRandom(const Group& group) {
    const size_t before = slot_b_taken_;
    const double kept = std::uniform_real_distribution(0.0, 1.0)(random_);
    DiskState state{.writes = group.front()};
    decltype(state.also) deciding;
    disk_.Mark();
    for (const size_t i : group) {
      if (std::uniform_real_distribution(0.0, 1.0)(random_) > kept) continue;
      const LoggedWrite& write = log_.writes()[i];
      uint64_t length = write.length;
      if (random_() % 8 == 0) length = random_() % (length / 512) * 512;
      Take(write, length);
      state.also.emplace_back(i, length);
      if (Decides(write)) deciding.emplace_back(i, length);
    }
    // With few writes, many states are the same.
    if (judged_.emplace(group.front(), deciding, slot_b_taken_ == slot_b_).second) {
      const Outcome outcome = Judge();
      if (outcome_of_.emplace(group.front(), outcome.file).second)
        (outcome.file != last_.file ? partial_ : calm_).push_back({std::move(state), outcome});
    } else {
      states_++;
    }
    Held(disk_.Undo());
    slot_b_taken_ = before;
  }

  void Take(const LoggedWrite& write, uint64_t length) {
    Held(disk_.Apply(write, length));
    slot_b_taken_ += disk_.PlaceOf(write) == Place::kSlotB && length == write.length;
  }

  // Judges the disk as it is, and again after the node's own fsck has repaired its ESP.
  Outcome Judge() {
    states_++;
    const bool whole[2] = {true, slot_b_taken_ == slot_b_};
    const Outcome outcome = Held(WouldBoot(disk_.esp(), disk_.table(), releases_, whole));
    CAPTURE(states_, outcome.version, outcome.file);
    CHECK(outcome.broken == "");
    const std::string repaired = directory_ / "repaired.img";
    CAPTURE(
        hostos::Run(std::format("dd status=none conv=sparse bs=1M if={0} of={1} && "
                                "{{ fsck.fat -a {1} || [ $? = 1 ]; }}",
                                disk_.esp(), repaired)));
    if (FilesOf(repaired) != FilesOf(disk_.esp()))
      CHECK(Held(WouldBoot(repaired, disk_.table(), releases_, whole)).broken == "");
    return outcome;
  }

  // This many writes are on the disk.
  void JudgePrefix(size_t writes) {
    const Outcome outcome = Judge();
    if (turns_.empty() || last_.file != outcome.file) turns_.push_back({{writes, {}}, outcome});
    last_ = outcome;
  }

  const TempDir directory_{"/run"};  // in memory: the ESP is copied for every state
  const std::vector<Release> releases_;
  const WriteLog log_;
  DiskCopy disk_;
  std::minstd_rand random_;
  size_t slot_b_ = 0, slot_b_taken_ = 0, states_ = 0;
  Outcome last_;  // of the prefix
  std::vector<Judged> turns_, partial_, calm_;
  // The first write, the others with it, and whether slot B is whole.
  std::set<std::tuple<size_t, decltype(DiskState::also), bool>> judged_;
  std::set<std::pair<size_t, std::string>> outcome_of_;  // the first write, and what boots
};

}  // namespace

void CutPower(const std::string& name, const Life& live, const std::string& first,
              const std::string& last) {
  const TempDir directory;
  const std::string log = directory / "log";
  std::vector<Release> releases;
  {
    const std::unique_ptr<Node> node =
        live(name, log);  // its machine stops at the end of this block
    for (const char* version : {"1.0.0", "1.1.0"})
      releases.push_back(ReleaseOf(node->releases(), version));
  }
  Replay replay(log, releases);
  replay.Run(Thorough() ? 3000 : 50);
  const std::vector<Replay::Judged>& turns = replay.turns();
  CHECK(turns.front().outcome.version == first);
  CHECK(turns.back().outcome.version == last);
  Count(replay.states(), "states");
  if (!Thorough()) return;
  // Compares the model with the machine: on both sides of each turn, with some of a turn's writes,
  // and, where these are few, with some writes that turn nothing.
  size_t booted = 0;
  const auto really = [&](const char* which, const DiskState& state, const Outcome& outcome) {
    ReallyBoots(name + which, log, state, outcome.version);
    booted++;
  };
  for (size_t i = 0; i < turns.size(); i++) {
    if (i > 0) really("-before", {turns[i].state.writes - 1, {}}, turns[i - 1].outcome);
    really("-after", turns[i].state, turns[i].outcome);
  }
  for (const Replay::Judged& each : replay.partial() | std::views::take(kMostPartial))
    really("-partial", each.state, each.outcome);
  const std::vector<Replay::Judged>& calm = replay.calm();
  const size_t more = std::min(calm.size(), kFewestReal - std::min(booted, kFewestReal));
  for (size_t i = 0; i < more; i++) {
    const Replay::Judged& each = calm[i * calm.size() / more];
    really("-calm", each.state, each.outcome);
  }
}

}  // namespace hostos
