// The record says why things are as they are: one small JSON file on the state partition, replaced
// atomically, written before the act that it announces. It never decides what boots (the boot
// entries do). It explains, refuses what fell back before, and tells an interrupted update where it
// was. docs/state-record.md is its contract.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/base/traffic.h"
#include "updater/release/signature.h"

namespace hostos {

// What is being done to the target slot. Saved before it begins.
enum class Phase {
  kFetch,  // the target is resolved and verified; objects are being pulled
  kWrite,  // everything is here; the slot is invalidated, then written
  kProve,  // the slot is being read back
  kArm,    // the partitions' identity and the boot entry are being written
  kArmed,  // boots next
  kTrial,  // it booted, and its health gate began
};
const char* Name(Phase phase);

enum class Event { kFetched, kWritten, kProven, kArmed, kBooted };

// The phase that follows. An event that cannot happen in this phase is an error.
Result<Phase> NextPhase(Phase phase, Event event);

// One boot of the release on trial, as its own gate saw it.
struct Attempt {
  std::string boot_id;
  uint64_t time = 0;
};

// Identifies a release in the record.
struct ReleaseId {
  std::string version;
  Digest commit;
  Digest root_hash;

  // For messages: what a trial falls back to if this is the release before it. A slot without a
  // release has no version; the rescue system is then what comes next.
  std::string FallbackName() const { return version.empty() ? "the rescue system" : version; }
};

// The update in progress: from the verified target to its commit or fallback.
struct UpdateRecord {
  Phase phase = Phase::kFetch;
  ReleaseId target;
  Slot slot = Slot::B;  // of the target
  ReleaseId from;
  uint64_t timestamp = 0;  // of the target's commit: becomes the floor when it is committed
  uint64_t index = 0;      // of the target in the order of releases: likewise
  uint64_t started = 0;
  std::string armed_boot_id;               // the boot in which it was armed
  std::vector<Attempt> attempts;           // boots that reached the gate
  std::vector<std::string> failed_before;  // what failed under `from` before any change: FailedIn()
  bool was_good = false;           // it passed a trial before: only its entry is counted again
  std::string failure;             // the gate's reason, one line; "" while undecided
  std::string failure_output;      // of the failing check, if any
  std::optional<Traffic> traffic;  // of all runs so far; absent: not known
};

// kDegraded: went bad after it was committed, and stays.
enum class Outcome { kCommitted, kFellBack, kRolledBack, kDegraded };
const char* Name(Outcome outcome);

struct HistoryEntry {
  Outcome outcome = Outcome::kCommitted;
  uint64_t time = 0;
  ReleaseId release;                    // committed, fell back, rolled back from, or degraded
  std::string from;                     // version that ran before (committed, degraded) or runs now
  Slot slot = Slot::A;                  // of `release`
  uint32_t boots = 0;                   // attempts the loader counted, where known
  std::string reason;                   // why it fell back or was rolled back
  std::string output;                   // of the failing check
  std::optional<Traffic> traffic = {};  // of the update that brought `release`; absent: not known
};

enum class SelfTestState { kRunning, kPassed, kFailed };
const char* Name(SelfTestState state);

// A self-test of the boot loader: the one in progress, or how the last one ended.
struct SelfTest {
  SelfTestState state = SelfTestState::kRunning;
  std::string version;  // of the release that ran
  uint64_t time = 0;    // when it began or ended
  std::string boot_id;  // of the boot it began in, or of the last boot that was checked
  uint32_t boots = 0;   // that were checked
  std::string reason;   // of kFailed, one line: which boot, what was expected and found
};

// A release this machine does not try again by itself.
struct Denied {
  ReleaseId release;
  uint64_t time = 0;
  std::string reason;
  uint32_t boots = 0;

  // Compares the commits; the root hashes if the commit was not known when it was denied.
  bool Is(const Digest& commit, const Digest& root_hash) const {
    return release.commit == Digest() ? release.root_hash == root_hash : release.commit == commit;
  }
};

struct Record {
  static constexpr uint32_t kFormat = 1;
  static constexpr size_t kHistoryLimit = 100;

  std::optional<UpdateRecord> update;
  std::vector<HistoryEntry> history;  // oldest first
  std::vector<Denied> denied;
  uint64_t time_floor = 0;   // commit timestamp of the newest committed release
  uint64_t index_floor = 0;  // the highest of the committed releases
  uint64_t checked = 0;      // last successful resolve, seconds since the epoch
  std::optional<SelfTest> selftest;
  // An update may have been in progress, but the record does not tell: it is missing, damaged, or
  // of another version. Not written to the file.
  bool update_lost = false;
  // What failed before the update that was committed last; it is not held against that release.
  // Absent in a record of an earlier version.
  std::vector<std::string> known;
  // The signature rule for the next release, from the release committed last; absent in a record of
  // an earlier version.
  std::optional<SignatureRule> signatures;

  bool SelfTesting() const { return selftest && selftest->state == SelfTestState::kRunning; }
  const Denied* FindDenied(const Digest& commit, const Digest& root_hash) const;
  void AddHistory(HistoryEntry entry);
  // Adds the entry, and denies its release: this machine no longer tries it by itself.
  void GiveUp(HistoryEntry entry);
  // Adds to the reason of the release that was given up last.
  void Explain(const std::string& cause);
  // Denies the release no longer.
  void Allow(const ReleaseId& release);
};

std::string ToJson(const Record& record);
// Reads a newer format as far as it is understood: at least the denials and numbers, which keep
// their places in every format. An error is damage. docs/state-record.md has the policy.
Result<Record> RecordFromJson(std::string_view text);
// The denials and history entries that are whole in a record that is damaged or breaks off.
Record SalvageRecord(std::string_view text);

// The record's file. A missing file is an empty record; one that cannot be read is an error.
class RecordFile {
 public:
  explicit RecordFile(std::string path) : path_(std::move(path)) {}
  Result<Record> Load() const;
  // SalvageRecord() of a file for which Load() fails.
  Record Salvage() const;
  // Load(), else Salvage(): for callers that do not report damage.
  Record LoadOrSalvage() const;
  Result<> Save(const Record& record) const;
  // Keeps the file also as "<path>.unreadable", for people, before a new one takes its place.
  Result<> SetAside() const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace hostos
