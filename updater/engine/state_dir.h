// The files of HostOS that survive a boot: <state>/record.json, <state>/lock,
// <state>/commits/<checksum>.commit and .commitmeta (the signed commits of the releases in the
// slots), <state>/etc/<root hash 16>/ (one /etc upper per release in a slot) and
// <state>/etc/next-from. In <run> are those that do not survive. docs/state-record.md.
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

// Held while something changes. Released when it goes out of scope, or when the process ends.
struct Lock {
  UniqueFd fd;
};

// Who holds this lock, from its file.
std::string HolderIn(const std::string& lock_file);

struct KeptCommit {
  std::string commit;      // bytes of the commit object
  std::string signatures;  // bytes of its detached metadata
  std::string file = {};   // where the commit object was read
};

struct KeptCommits {
  std::vector<KeptCommit> commits;
  std::vector<std::string> problems;  // what exists but cannot be read: where, and why
};

class StateDir {
 public:
  // `path` is "/var/lib/hostos"; `run` ("/run/hostos") holds what must not survive a boot.
  StateDir(std::string path, std::string run)
      : path_(std::move(path)), run_(std::move(run)), record_(path_ + "/record.json") {}

  const RecordFile& record() const { return record_; }
  const std::string& path() const { return path_; }

  // kBusy says who holds it ("hostctl update, pid 812, since 2026-11-21 01:02 UTC"). If no lock can
  // be opened on the state partition, one in <run> is taken: the state partition is not what
  // decides.
  Result<Lock> TryLock(std::string_view holder, uint64_t now);
  // The same, but waits up to a day, which is as long as an update can take. For the gate, which
  // must not fail because somebody else looks at the machine. On a trial, the trial's deadline
  // comes first.
  Result<Lock> WaitLock(std::string_view holder, uint64_t now);

  // Commits kept on this machine. Each has its signatures at any moment. Keep() is durable when it
  // returns.
  Result<> Keep(const Digest& checksum, const KeptCommit& commit);
  // The commits that can be read. Needs no lock: a commit that is removed meanwhile is not a
  // problem.
  KeptCommits Commits() const;
  // Removes the kept commits whose checksum is not in `wanted`. If one cannot be removed, the
  // others still are.
  Result<> ForgetExcept(const std::vector<Digest>& wanted);

  // Called before a release is armed: tells the target's first boot to begin with a copy of the
  // upper of `from`. With `afresh`, the copy replaces the upper that an earlier try of the target
  // left. Removes nothing: until the target has booted, only its slot's entry says which uppers
  // count.
  Result<> PrepareEtc(const Digest& from, const Digest& target, bool afresh);
  // Called after a trial: removes the uppers of releases in neither slot. Removes none while the
  // running release has no upper of its own, because then it uses another's.
  Result<> ForgetEtc(const Digest& running, const std::optional<Digest>& other);
  // True if there was no room at boot for an upper of its own: it uses another's, and changes to
  // /etc are in memory.
  bool EtcInMemory(const Digest& running) const;
  // The space that a copy of the running release's upper takes. If it has none, that of the largest
  // upper.
  Result<Space> EtcSize(const Digest& running) const;
  // Paths below /etc that differ from the image (files of the running release's upper), sorted.
  Result<std::vector<std::string>> EtcChanges(const Digest& root_hash) const;

  // Tells hostos-trial-deadline.service that the gate has finished in this boot.
  Result<> MarkGateFinished();

  // <run>/metrics.prom, which anybody may read, is written under this lock. Waits up to ten
  // seconds, then kBusy. Only root can hold it, like every lock that a verb waits for.
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
