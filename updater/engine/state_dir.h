// The files of ours that survive: <state>/record.json, <state>/lock,
// <state>/commits/<checksum>.commit and .commitmeta (the signed commits of the releases in the
// slots), <state>/etc/<root hash 16>/ (one /etc upper per release in a slot) and
// <state>/etc/next-from; and, in <run>, those that do not. docs/state-record.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/base/clock.h"
#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/space.h"
#include "updater/base/unique_fd.h"
#include "updater/engine/record.h"

namespace hostos {

// Held while something is changed; released when it goes out of scope, or with the process.
struct Lock {
  UniqueFd fd;
};

// Who holds a lock that is held, by its file.
std::string HolderIn(const std::string& lock_file);

struct KeptCommit {
  std::string commit;      // bytes of the commit object
  std::string signatures;  // bytes of its detached metadata
  std::string file = {};   // where its commit object was read
};

struct KeptCommits {
  std::vector<KeptCommit> commits;
  std::vector<std::string> problems;  // what is there and cannot be read: where, and why
};

class StateDir {
 public:
  // `path` is "/var/lib/hostos"; `run` holds what must not survive a boot ("/run/hostos").
  StateDir(std::string path, std::string run)
      : path_(std::move(path)), run_(std::move(run)), record_(path_ + "/record.json") {}

  const RecordFile& record() const { return record_; }
  const std::string& path() const { return path_; }

  // kBusy says who holds it ("hostctl update, pid 812, since 2026-11-21 01:02 UTC"). Where the
  // state partition has no lock to give, one in <run> is taken: it is not what decides.
  Result<Lock> TryLock(std::string_view holder, uint64_t now);
  // The same, but waits, for as long as an update can take: for the gate, which must not fail
  // because somebody looked. On a trial the trial's deadline is before.
  Result<Lock> WaitLock(std::string_view holder, uint64_t now);

  // Commits kept on this machine, each with its signatures at any moment. Keep() is durable when it
  // returns.
  Result<> Keep(const Digest& checksum, const KeptCommit& commit);
  // Those that can be read. Without the lock, one that goes meanwhile is no problem.
  KeptCommits Commits() const;
  // Removes the kept commits whose checksum is not in `wanted`; one that stays hides no other.
  Result<> ForgetExcept(const std::vector<Digest>& wanted);

  // Before a release is armed: leaves word for the target's first boot to begin with a copy of the
  // upper of `from`; with `afresh`, in place of the one that an earlier try of it left. Removes
  // nothing: until the target has booted, only its slot's entry says which uppers count.
  Result<> PrepareEtc(const Digest& from, const Digest& target, bool afresh);
  // After a trial: removes the uppers of releases in neither slot. None while the running release
  // has no upper of its own: then it lives on another's.
  Result<> ForgetEtc(const Digest& running, const std::optional<Digest>& other);
  // No room for an upper of its own was found at boot: it lives on another's, and what is changed
  // now is in memory.
  bool EtcInMemory(const Digest& running) const;
  // What a copy of the running release's upper takes. If it has none of its own, the largest
  // counts.
  Result<Space> EtcSize(const Digest& running) const;
  // Paths below /etc that differ from the image (files of the running release's upper), sorted.
  Result<std::vector<std::string>> EtcChanges(const Digest& root_hash) const;

  // Tells hostos-trial-deadline.service that the gate has come to an end in this boot.
  Result<> MarkGateFinished();

  // <run>/metrics.prom, which anybody may read. Written under this lock, which is waited for a
  // moment: kBusy. Only root can hold it, as everything that a verb waits for.
  Result<Lock> LockMetrics();
  Result<> SaveMetrics(const std::string& text);

  // Free on the state partition.
  Result<Space> Free() const { return FreeSpaceAt(path_); }

 private:
  Result<Lock> TakeLock(std::string_view holder, uint64_t now, Milliseconds patience);
  std::string EtcOf(const Digest& root_hash) const;

  std::string path_;
  std::string run_;
  RecordFile record_;
};

}  // namespace hostos
