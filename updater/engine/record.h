// The record: why things are as they are. One small JSON file on the state partition, replaced
// atomically, written before the act it announces. It never decides what boots (the boot entries
// do); it explains, refuses what fell back before, and tells an interrupted update where it was.
// docs/state-record.md is its contract.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/source/sign.h"

namespace hostos {

// What is being done to the target slot. Persisted before it is begun.
enum class Phase {
  kFetch,  // target resolved and verified; objects are being pulled
  kWrite,  // all is here; its slot is invalidated, and sealed into
  kProve,  // reading back
  kArm,    // partition identity and boot entry are being written
  kArmed,  // boots next
  kTrial,  // it booted, and its health gate began
};
const char* Name(Phase phase);

enum class Event { kFetched, kWritten, kProven, kArmed, kBooted };

// The phase that follows; an event that cannot happen in that phase is an error.
Result<Phase> NextPhase(Phase phase, Event event);

// One boot of the release on trial, as its own gate saw it.
struct Attempt {
  std::string boot_id;
  uint64_t time = 0;
};

// Identity of a release in the record.
struct ReleaseId {
  std::string version;
  Digest commit;
  Digest root_hash;

  // What a trial falls back to when this is the release before it, in a sentence. A slot that holds
  // none has no version: behind its trial there is the rescue system.
  std::string FallbackName() const { return version.empty() ? "the rescue system" : version; }
};

// The update in progress: from the verified target to its commit or fallback.
struct UpdateRecord {
  Phase phase = Phase::kFetch;
  ReleaseId target;
  Slot slot = Slot::B;  // of the target
  ReleaseId from;
  uint64_t timestamp = 0;  // of the target's commit: the floor when it is committed
  uint64_t index = 0;      // of the target, in the order of releases: the same
  uint64_t started = 0;
  std::string armed_boot_id;        // the boot in which it was armed
  std::vector<Attempt> attempts;    // boots that reached the gate
  std::vector<std::string> before;  // what failed before anything changed: FailedIn() of `from`
  bool recount = false;             // committed before, and only counted again
  std::string failure;              // the gate's reason, one line; "" while undecided
  std::string failure_output;       // of the failing check, if any
};

// kDegraded: went bad after it was committed, and stays.
enum class Outcome { kCommitted, kFellBack, kRolledBack, kDegraded };
const char* Name(Outcome outcome);

struct HistoryEntry {
  Outcome outcome = Outcome::kCommitted;
  uint64_t time = 0;
  ReleaseId release;    // committed, fell back, rolled back from, or degraded
  std::string from;     // version that ran before (committed, degraded) or runs now
  Slot slot = Slot::A;  // of `release`
  uint32_t boots = 0;   // attempts the loader counted, where known
  std::string reason;   // why it fell back or was rolled back
  std::string output;   // of the failing check
};

enum class SelfTestState { kRunning, kPassed, kFailed };
const char* Name(SelfTestState state);

// A self-test of the boot loader, or how the last one ended.
struct SelfTest {
  SelfTestState state = SelfTestState::kRunning;
  std::string version;  // of the release that ran
  uint64_t time = 0;    // it began, or ended
  std::string boot_id;  // of the boot that it began in, or that was looked at last
  uint32_t boots = 0;   // that were looked at
  std::string reason;   // of kFailed, one line: which boot, what was expected and found
};

// A release this machine does not try again by itself.
struct Denied {
  ReleaseId release;
  uint64_t time = 0;
  std::string reason;
  uint32_t boots = 0;

  // By its commit; by its root where the commit was not known when it was denied.
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
  uint64_t floor = 0;    // commit timestamp of the newest committed release
  uint64_t index = 0;    // the highest of the committed releases
  uint64_t checked = 0;  // last successful resolve, seconds since the epoch
  std::optional<SelfTest> selftest;
  // There may be, or was, an update in progress that could not be understood. Not written.
  bool update_lost = false;
  // What failed before the update that was committed last, and is not held against it. Absent in a
  // record of an earlier version.
  std::vector<std::string> known;
  // What the release that was committed last says who has to sign the next one; absent in a record
  // of an earlier version.
  std::optional<SignatureRule> signatures;

  bool SelfTesting() const { return selftest && selftest->state == SelfTestState::kRunning; }
  const Denied* FindDenied(const Digest& commit, const Digest& root_hash) const;
  void AddHistory(HistoryEntry entry);
  // Not tried again from now on; and: no longer denied.
  void Deny(const ReleaseId& release, uint64_t now, const std::string& reason, uint32_t boots);
  void Allow(const ReleaseId& release);
};

std::string ToJson(const Record& record);
// Of a newer format: as far as it is understood, which is denials and numbers in any case. An error
// is damage. docs/state-record.md has the policy.
Result<Record> RecordFromJson(std::string_view text);
// What is whole of a record that is damaged, also where it breaks off: denials and history.
Record SalvageRecord(std::string_view text);

// The record's file. A missing file is an empty record; one that cannot be read is an error.
class RecordFile {
 public:
  explicit RecordFile(std::string path) : path_(std::move(path)) {}
  Result<Record> Load() const;
  // SalvageRecord() of one that Load() makes an error of.
  Record Salvage() const;
  // What there is of it, for whoever has nothing to say of damage.
  Record LoadOrSalvage() const;
  Result<> Save(const Record& record) const;
  // Also as "<path>.unreadable", for people, before a new one takes its place.
  Result<> SetAside() const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace hostos
