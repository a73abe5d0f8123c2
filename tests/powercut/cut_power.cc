#include "tests/powercut/cut_power.h"

#include <catch2/catch_test_macros.hpp>
#include <random>

#include "tests/node/torture.h"
#include "tests/powercut/outcome.h"
#include "tests/text_file.h"
#include "tests/vm/held.h"
#include "updater/source/commit.h"

namespace hostos {
namespace {

using Place = DiskCopy::Place;

Release ReleaseOf(const ReleaseSet& releases, const std::string& version) {
  const std::string hex = Held(releases.Get(version)).commit.Hex();
  const std::string object =
      releases.directory() + "/repo/objects/" + hex.substr(0, 2) + "/" + hex.substr(2) + ".commit";
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

  // Every prefix, and `random` states in which what was not flushed came out in any way.
  void Run(size_t random) {
    Judge("prefix");
    std::vector<const LoggedWrite*> pending;  // not yet flushed
    for (const LoggedWrite& write : log_.writes()) {
      if (write.flush) Flush(pending, random);
      if (write.length > 0) pending.push_back(&write);
    }
    Flush(pending, random);
  }

  size_t states() const { return states_; }
  const std::vector<std::string>& versions() const { return versions_; }

 private:
  bool Decides(const LoggedWrite& write) const {
    const Place place = disk_.PlaceOf(write);
    return place == Place::kTable || place == Place::kEsp;
  }

  void Flush(std::vector<const LoggedWrite*>& pending, size_t random) {
    const bool decides =
        std::ranges::any_of(pending, [&](const LoggedWrite* write) { return Decides(*write); });
    if (decides) {
      for (size_t i = 0; i < random; i++) TryRandom(pending);
    }
    for (const LoggedWrite* write : pending) {
      CHECK(disk_.PlaceOf(*write) != Place::kSlotA);
      Take(*write, write->length);
      if (Decides(*write)) Judge("prefix");
    }
    pending.clear();
  }

  void TryRandom(const std::vector<const LoggedWrite*>& pending) {
    const size_t before = slot_b_taken_;
    const double kept = std::uniform_real_distribution(0.0, 1.0)(random_);
    disk_.Mark();
    for (const LoggedWrite* write : pending) {
      if (std::uniform_real_distribution(0.0, 1.0)(random_) > kept) continue;
      uint64_t length = write->length;
      if (random_() % 8 == 0) length = random_() % (length / 512) * 512;
      Take(*write, length);
    }
    Judge("random");
    Held(disk_.Undo());
    slot_b_taken_ = before;
  }

  void Take(const LoggedWrite& write, uint64_t length) {
    Held(disk_.Apply(write, length));
    slot_b_taken_ += disk_.PlaceOf(write) == Place::kSlotB && length == write.length;
  }

  void Judge(const std::string& kind) {
    states_++;
    const Outcome outcome = Held(WouldBoot(disk_, releases_, {true, slot_b_taken_ == slot_b_}));
    CAPTURE(kind, states_, outcome.version, outcome.file);
    CHECK(outcome.broken == "");
    if (kind == "prefix" && (versions_.empty() || versions_.back() != outcome.version))
      versions_.push_back(outcome.version);
  }

  const TempDir directory_;
  const std::vector<Release> releases_;
  const WriteLog log_;
  DiskCopy disk_;
  std::minstd_rand random_;
  size_t slot_b_ = 0, slot_b_taken_ = 0, states_ = 0;
  std::vector<std::string> versions_;  // that would boot, in the order of the prefixes
};

}  // namespace

void CutPower(const std::function<std::unique_ptr<Node>(const std::string& log)>& live,
              const std::string& first, const std::string& last) {
  const TempDir directory;
  const std::string log = directory / "log";
  std::vector<Release> releases;
  {
    const std::unique_ptr<Node> node = live(log);  // its machine stops at the end of this block
    for (const char* version : {"1.0.0", "1.1.0"})
      releases.push_back(ReleaseOf(node->releases(), version));
  }
  Replay replay(log, releases);
  replay.Run(Thorough() ? 1000 : 5);
  CHECK(replay.versions().front() == first);
  CHECK(replay.versions().back() == last);
  Count(replay.states(), "states");
}

}  // namespace hostos
